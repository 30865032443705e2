"""The worker that is killed while it changes incidents: `python writing_worker.py STORE`.

Each run of its flow makes four incidents, and writes four notes and four changes on the first of them.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from resolute import Retry, flow, input_data, manual, output
from resolute.config import WorkerConfig
from resolute.providers import pagerduty
from resolute.worker import Worker

INCIDENT = output("made.incident.id")
SERVICE = input_data("service")
SOON = Retry(initial=timedelta(seconds=0.2), maximum=timedelta(seconds=1), attempts=100)

written = (
    flow("written")
    .triggered_by(manual())
    .then(pagerduty.create_incident(title="First", service_id=SERVICE).as_("made").with_retry(SOON))
    .then(pagerduty.add_note(incident_id=INCIDENT, content="Note 1").as_("note_1").with_retry(SOON))
    .then(pagerduty.update_incident(id=INCIDENT, title="First, seen").as_("change_1").with_retry(SOON))
    .then(pagerduty.create_incident(title="Second", service_id=SERVICE).as_("made_2").with_retry(SOON))
    .then(pagerduty.add_note(incident_id=INCIDENT, content="Note 2").as_("note_2").with_retry(SOON))
    .then(pagerduty.update_incident(id=INCIDENT, status="acknowledged").as_("change_2").with_retry(SOON))
    .then(pagerduty.create_incident(title="Third", service_id=SERVICE).as_("made_3").with_retry(SOON))
    .then(pagerduty.add_note(incident_id=INCIDENT, content="Note 3").as_("note_3").with_retry(SOON))
    .then(pagerduty.update_incident(id=INCIDENT, urgency="low").as_("change_3").with_retry(SOON))
    .then(pagerduty.create_incident(title="Fourth", service_id=SERVICE).as_("made_4").with_retry(SOON))
    .then(pagerduty.add_note(incident_id=INCIDENT, content="Note 4").as_("note_4").with_retry(SOON))
    .then(pagerduty.update_incident(id=INCIDENT, status="resolved").as_("change_4").with_retry(SOON))
    .build()
)

if __name__ == "__main__":
    Worker(
        WorkerConfig(engine=f"sqlite:///{sys.argv[1]}", max_concurrent=20),
        flows=[written],
        providers=[pagerduty.PagerDutyProvider()],
    ).run()
