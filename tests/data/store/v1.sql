-- A store of schema version 1, dumped from a file that version 1 of the code wrote with the flows of v1_flows.py, which
-- says what each run is. The clock of that worker began at 2026-01-31 11:59:58 UTC.
BEGIN TRANSACTION;
CREATE TABLE incident_log (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at      TEXT    NOT NULL,
    title           TEXT    NOT NULL,
    service_key     TEXT    NOT NULL,
    urgency         TEXT    NOT NULL,
    body            TEXT    NOT NULL,
    dedup_key       TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    error_message   TEXT    NOT NULL,
    response_status TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL UNIQUE,
    run_no          INTEGER NOT NULL,
    run_id          TEXT    NOT NULL,
    position        TEXT    NOT NULL,
    flow            TEXT    NOT NULL,
    scheduled       INTEGER NOT NULL,
    service         TEXT    NOT NULL,
    instance        TEXT    NOT NULL,
    lane            TEXT    NOT NULL,
    host_key        TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    event           TEXT    NOT NULL,
    payload_digest  TEXT    NOT NULL,
    key_secret      TEXT    NOT NULL,
    key_digest      TEXT    NOT NULL,
    since           TEXT    NOT NULL,
    deadline_s      REAL    NOT NULL,
    retry           TEXT    NOT NULL,
    remarks         TEXT    NOT NULL,
    attempts        INTEGER NOT NULL,
    lost            INTEGER NOT NULL,
    sent_at         TEXT,
    unknown_since   TEXT,
    due_at          TEXT,
    held_until      TEXT,
    repeat_at       TEXT,
    awaited         INTEGER NOT NULL,
    is_open         INTEGER NOT NULL,
    folded_into     INTEGER,
    superseded_by   INTEGER,
    may_repeat      INTEGER NOT NULL,
    late_s          REAL    NOT NULL,
    settled_at      TEXT
) STRICT;
INSERT INTO "incident_log" VALUES(1,'2026-01-31T11:59:58.657642Z','Disk full','•••• 9915','critical','','v1-disk-full','accepted','Event processed','','success','v1-paged/page',4,'v1-paged','page','paged',0,'pagerduty','','events.pagerduty.com|94c8af5a103e082bee2e120319549158|abb771cb397dbc335149049765f4b70a','events.pagerduty.com|94c8af5a103e082bee2e120319549158','trigger','{"event_action":"trigger","dedup_key":"v1-disk-full","payload":{"summary":"Disk full","source":"db-1","severity":"critical"}}','6060fa1145e0cabc47406322740fe058ed8d1fec7f91f8a6fc30ce9351997303','PAGERDUTY_ROUTING_KEY','94c8af5a103e082bee2e120319549158','2026-01-31T11:59:58.657642Z',86400.0,'[1.0,2,60.0,0.5,null]','[]',1,0,'2026-01-31T11:59:58.657849Z',NULL,NULL,NULL,NULL,1,1,NULL,NULL,0,0.0,'2026-01-31T11:59:58.681402Z');
CREATE TABLE journal (
    run_no      INTEGER NOT NULL,
    position    TEXT    NOT NULL,
    place       INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    ready_at    INTEGER NOT NULL,
    activity    TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    lost        INTEGER NOT NULL,
    inputs      TEXT    NOT NULL,
    secrets     TEXT    NOT NULL,
    output      TEXT    NOT NULL,
    error       TEXT    NOT NULL,
    row_id      INTEGER NOT NULL,
    due_at      INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (run_no, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "journal" VALUES(1,'rounds',2,'loop','rounds','done',1769860798049967,'',0,0,0,'','','"2026-01-31T11:59:58.049967+00:00"','',0,NULL,1769860798049967);
INSERT INTO "journal" VALUES(1,'rounds[0]',3,'round','rounds','done',1769860798050001,'',0,0,0,'','','"2026-01-31T11:59:58.050001+00:00"','',0,NULL,1769860798050001);
INSERT INTO "journal" VALUES(1,'rounds[0]/tell',4,'node','tell','done',1769860798050020,'tell',1,0,0,'{"text":"db-1 is slow"}','','"told: db-1 is slow"','',0,NULL,1769860798053683);
INSERT INTO "journal" VALUES(1,'rounds[0]~end',6,'branch','rounds','done',1769860798053771,'',0,0,0,'','','""','',0,NULL,1769860798053771);
INSERT INTO "journal" VALUES(1,'rounds[0]~until',5,'branch','rounds','done',1769860798053720,'',0,0,0,'','','false','',0,NULL,1769860798053720);
INSERT INTO "journal" VALUES(1,'rounds[1]',7,'round','rounds','done',1769860798053787,'',0,0,0,'','','"2026-01-31T11:59:58.053787+00:00"','',0,NULL,1769860798053787);
INSERT INTO "journal" VALUES(1,'rounds[1]/tell',8,'node','tell','done',1769860798053817,'tell',1,0,0,'{"text":"db-1 is slow"}','','"told: db-1 is slow"','',0,NULL,1769860798057654);
INSERT INTO "journal" VALUES(1,'rounds[1]~until',9,'branch','rounds','done',1769860798057689,'',0,0,0,'','','true','',0,NULL,1769860798057689);
INSERT INTO "journal" VALUES(1,'said',11,'node','said','done',1769860798057768,'tell',1,0,0,'{"text":"db-1 is slow"}','','"told: db-1 is slow"','',0,NULL,1769860798065753);
INSERT INTO "journal" VALUES(1,'seen',1,'node','seen','done',1769860798034836,'look',1,0,0,'{"host":"db-1"}','','"db-1 is slow"','',0,NULL,1769860798049922);
INSERT INTO "journal" VALUES(1,'slow',10,'branch','slow','done',1769860798057734,'',0,0,0,'','','true','',0,NULL,1769860798057734);
INSERT INTO "journal" VALUES(2,'look',1,'node','look','done',1769860798250424,'look',1,0,0,'{"host":"db-2"}','','"db-2 is slow"','',0,NULL,1769860798253407);
INSERT INTO "journal" VALUES(2,'refuse',2,'node','refuse','failed',1769860798253443,'refuse',3,3,0,'{"text":"db-2 is slow"}','','','ValueError: db-2 is slow, and nobody permits it',0,NULL,1769860801293995);
INSERT INTO "journal" VALUES(3,'look',1,'node','look','done',1769860798454722,'look',1,0,0,'{"host":"db-3"}','','"db-3 is slow"','',0,NULL,1769860798455914);
INSERT INTO "journal" VALUES(3,'nap',2,'sleep','nap','waiting',1769860798455942,'',0,0,0,'','','','',0,1769864398455942,NULL);
INSERT INTO "journal" VALUES(4,'nap',2,'sleep','nap','waiting',1769860798681710,'',0,0,0,'','','','',0,1769864398681710,NULL);
INSERT INTO "journal" VALUES(4,'page',1,'node','page','done',1769860798657642,'pagerduty.trigger_event',1,0,0,'{"event_action":"trigger","dedup_key":"v1-disk-full","payload":{"summary":"Disk full","source":"db-1","severity":"critical"}}','','{"status":"success","message":"Event processed","dedup_key":"v1-disk-full","ledger_status":"accepted","log_id":1,"remarks":[]}','',1,NULL,1769860798681499);
INSERT INTO "journal" VALUES(5,'count',1,'node','count','done',1769860800001878,'count',1,0,0,'{}','','1','',0,NULL,1769860800003335);
CREATE TABLE memory (
    flow TEXT NOT NULL,
    key  TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (flow, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "memory" VALUES('hourly','counted','1');
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('digest_key',X'7CE697000BA65EB24A3D5FF57F8242FA238BDE45D74ED4E2C31EE4BF8E1811B2');
INSERT INTO "meta" VALUES('schema_version',1);
CREATE TABLE runs (
    no             INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    flow           TEXT    NOT NULL,
    fingerprint    TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    input          TEXT    NOT NULL,
    input_digest   TEXT    NOT NULL,
    trigger        TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    scheduled      INTEGER NOT NULL,
    due_at         INTEGER,
    delay_s        REAL    NOT NULL,
    waiting_for    TEXT    NOT NULL,
    output         TEXT,
    error          TEXT    NOT NULL,
    error_key      TEXT    NOT NULL,
    finished_at    INTEGER,
    schema_version INTEGER NOT NULL
) STRICT;
INSERT INTO "runs" VALUES(1,'v1-finished','finished','27b12e68c895a840','succeeded','{"host":"db-1"}','c06b0419bfa0a7950164459f7f3a255b63d28a817eb71814194398d446d69022','manual',1769860798034642,0,NULL,0.0,'','{"seen":"db-1 is slow","tell":"told: db-1 is slow","said":"told: db-1 is slow"}','','',1769860798065821,1);
INSERT INTO "runs" VALUES(2,'v1-failed','failing','cb97fa4074f6bb7b','failed','{"host":"db-2"}','800750c914f7f759670e2cd23198dd48ef85c89a60cd90dc7effc2c7f2277adb','manual',1769860798250318,0,NULL,0.0,'',NULL,'ValueError: db-2 is slow, and nobody permits it','refuse',1769860801294229,1);
INSERT INTO "runs" VALUES(3,'v1-asleep','asleep','ed5c005f66e229b8','waiting','{"host":"db-3"}','f1317018b83d4782282b3782e97f7726490233afe3db197ee3f808a6e0f7a681','manual',1769860798454623,0,1769864398455942,3599.999863,'"nap" sleeps until 2026-01-31 12:59:58 UTC',NULL,'','',NULL,1);
INSERT INTO "runs" VALUES(4,'v1-paged','paged','c32451de0c010408','waiting','null','fb36319d78c521568460ddef125fa6c750652d069e85d2504ad600acbff02f7b','manual',1769860798657529,0,1769864398681710,3599.99995,'"nap" sleeps until 2026-01-31 12:59:58 UTC',NULL,'','',NULL,1);
INSERT INTO "runs" VALUES(5,'hourly@2026-01-31T12:00:00Z','hourly','ba30a0b0874ab8d1','succeeded','null','9ea854d5fbccfae66780159fa823d93ee430297452cd5bc5cae7f428a443062c','schedule:0 * * * *:UTC',1769860800001751,1,NULL,0.0,'','{"count":1}','','',1769860800003382,1);
INSERT INTO "runs" VALUES(6,'v1-queued','asleep','','queued','{"host":"db-4"}','fd0132e9aaa51c901513daa197c22a6634d3121f3f53dabfbb00dc05cd20beb5','client',1769860808923681,0,1769860808923681,0.0,'a worker',NULL,'','',NULL,1);
CREATE TABLE ticks (
    flow    TEXT    NOT NULL,
    trigger TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (flow, trigger)
) STRICT, WITHOUT ROWID;
INSERT INTO "ticks" VALUES('hourly','schedule:0 * * * *:UTC',1769860800000000);
CREATE INDEX runs_due ON runs (due_at) WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL;
CREATE INDEX runs_parked ON runs (due_at - CAST(round(delay_s * 1000000) AS INTEGER))
    WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL;
CREATE INDEX runs_by_status ON runs (status) WHERE status <> 'succeeded';
CREATE INDEX runs_by_flow ON runs (flow);
CREATE INDEX incident_log_matters ON incident_log (id)
    WHERE status IN ('pending', 'sending') OR is_open OR repeat_at IS NOT NULL;
CREATE INDEX incident_log_first ON incident_log (id)
    WHERE status IN ('pending', 'sending', 'rejected', 'undelivered');
CREATE INDEX incident_log_by_dedup_key ON incident_log (dedup_key);
CREATE INDEX incident_log_by_run ON incident_log (run_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('incident_log',1);
COMMIT;
