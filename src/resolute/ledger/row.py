"""One send of the incident log: what was meant, what was tried, what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from resolute.model.codec import to_text

Action = Literal["trigger", "acknowledge", "resolve"]
LedgerStatus = Literal[
    "pending", "sending", "accepted", "rejected", "undelivered", "superseded", "expired", "cancelled"
]

UNSETTLED: Final = frozenset({"pending", "sending"})
#: Remark of a page that is, or was, sent while the shared ledger could not be asked; its row is written there later.
DEFERRED: Final = "deferred: the shared ledger did not answer"
SUCCESSES: Final = frozenset({"accepted", "superseded", "expired"})


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `incident_log`.

    `pending` means not sent; `sending` means that a request is on its way or its outcome is unknown.

    Attributes:
        id: place in the log; within a lane also the order in which the sends were decided.
        idempotency_key: run id and position; one send has one row however often it is repeated.
        run_no, run_id, position, flow: where it was decided; run_no 0 is no run of this store.
        scheduled: decided in a run that a schedule started.
        service, instance: the provider that sends it and the name of its instance.
        lane: sends of one lane go one after the other; see `lanes`.
        host_key: events host and routing-key digest; a delay named by the server holds for all of it.
        event: the request's body without routing key.
        key_secret: name of the secret that holds the routing key, "" for the provider's own,
            "input:NAME" for one that lives only in the memory of the process that was given it.
        service_key: the routing key as it may be shown.
        key_digest: tells routing keys apart.
        created_at: when its node became ready.
        since: the earliest `created_at` among the triggers it stands for; lateness counts from it.
        deadline_s: seconds after `since` at which sending stops.
        retry: waits between attempts: [initial s, coefficient, maximum s, jitter, attempts or None].
        attempts: requests begun.
        lost: of these, requests on their way when the process ended; they do not count against `retry`.
        sent_at: when the latest request was begun.
        unknown_since: when the first request was begun whose outcome is unknown.
        due_at: not to be tried before, None for at once.
        held_until: a delay that the server named.
        repeat_at: what follows an accepted row is due then: the second request of a resolve, and of a trigger the
            look-up whether an incident came of it.
        awaited: a node waits for it; otherwise the engine follows it up by itself.
        is_open: an accepted trigger that no accepted resolve has followed.
        folded_into: the row of the open alert it was folded into.
        superseded_by: the row that took its place.
        may_repeat: sent again without knowing whether an earlier request was applied.
        late_s: seconds by which the page was late when it was accepted.
        message: the service's own word, or why the row was settled.
        response_status: PagerDuty's word: "success", "invalid event", ...
        error_message: what the latest attempt said.
        settled_at: when it was settled.
    """

    id: int
    idempotency_key: str
    run_no: int
    run_id: str
    position: str
    flow: str
    scheduled: bool
    service: str
    instance: str
    lane: str
    host_key: str
    action: Action
    dedup_key: str
    title: str
    urgency: str
    body: str
    event: dict[str, Any]
    payload_digest: str
    key_secret: str
    service_key: str
    key_digest: str
    created_at: datetime
    since: datetime
    status: LedgerStatus = "pending"
    deadline_s: float = 86400.0
    retry: tuple[float, float, float, float, int | None] = (1.0, 2.0, 60.0, 0.5, None)
    remarks: tuple[str, ...] = ()
    attempts: int = 0
    lost: int = 0
    sent_at: datetime | None = None
    unknown_since: datetime | None = None
    due_at: datetime | None = None
    held_until: datetime | None = None
    repeat_at: datetime | None = None
    awaited: bool = True
    is_open: bool = False
    folded_into: int | None = None
    superseded_by: int | None = None
    may_repeat: bool = False
    late_s: float = 0.0
    message: str = ""
    response_status: str = ""
    error_message: str = ""
    settled_at: datetime | None = None

    @property
    def is_settled(self) -> bool:
        return self.status not in UNSETTLED

    @property
    def is_deferred(self) -> bool:
        """Whether it was sent without the shared ledger, which is told of it later."""
        return DEFERRED in self.remarks

    @property
    def is_unknown(self) -> bool:
        """Whether a request of this row left and no answer says what became of it."""
        return self.unknown_since is not None

    @property
    def keeps_alert_open(self) -> bool:
        """Whether an alert is, or may be, open at the service because of this row."""
        if self.action != "trigger":
            return False
        return not self.is_settled or self.is_open


def settle_reason(row: Row) -> str:
    """Why a settled row is what it is, as one line for people."""
    return row.message or row.error_message or row.status


def lane_of(host: str, key_digest: str, dedup_key: str) -> str:
    """The lane's name: host, digest of the routing key and of the dedup key."""
    return f"{host}|{key_digest}|{hashlib.sha256(dedup_key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def payload_digest(event: Mapping[str, object]) -> str:
    """Tells whether two rows carry the same content."""
    return hashlib.sha256(to_text(event).encode()).hexdigest()
