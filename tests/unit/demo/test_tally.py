"""The numbers of the demo's last line are counted, so a demo that lost or doubled something would say so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from resolute.demo.tally import Tally, tally
from resolute.ledger.row import Row
from resolute.simulator import Alert, Incident
from resolute.simulator.pagerduty.history import RequestRecord
from resolute.simulator.pagerduty.incidents import Agent

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int, action: Any, status: Any = "accepted", key: str = "shop") -> Row:
    """A settled send."""
    where = ["run_id", "position", "flow", "service", "instance", "lane", "host_key"]
    content = ["title", "urgency", "body", "payload_digest", "key_secret", "service_key", "key_digest"]
    texts: dict[str, Any] = dict.fromkeys([*where, *content], "")
    return Row(
        id=number,
        idempotency_key=f"key {number}",
        run_no=number,
        scheduled=False,
        action=action,
        dedup_key=key,
        event={},
        created_at=NOW,
        since=NOW,
        status=status,
        **texts,
    )


def incident(number: int, *, key: str = "shop", status: Any = "resolved") -> Incident:
    """An incident with its alert."""
    by = Agent("service", "P1")
    alert = Alert(f"A{number}", key, "k", "P1", f"Q{number}", "s", "s", "critical", status, NOW, {})
    made = Incident(f"Q{number}", number, "s", "P1", "P2", "high", status, NOW, NOW, NOW, by)
    made.alerts.append(alert)
    return made


def request(api: Any = "events") -> RequestRecord:
    """A request that was answered."""
    return RequestRecord(NOW, api, "POST", "/v2/enqueue", "•••• 1234", "trigger", "shop", 202, None, True, (), None)


def count(rows: list[Row], incidents: list[Incident], requests: int = 0, exit_codes: list[int] | None = None) -> Tally:
    """The tally of these, with a look-up among the requests."""
    alerts = [alert for incident in incidents for alert in incident.alerts]
    records = [request("rest"), *(request() for _ in range(requests))]
    return tally(rows, alerts, incidents, records, exit_codes or [])


GOOD = [row(1, "trigger"), row(2, "resolve")]


def test_a_story_that_went_well() -> None:
    """One incident, one page; look-ups are no requests, and a worker that was stopped is no kill."""
    counted = count(GOOD, [incident(1)], requests=5, exit_codes=[-9, 0])
    assert str(counted) == "1 incident · 1 page · 5 requests · 1 kill -9 · 0 lost · 0 twice"


@pytest.mark.parametrize(
    ("rows", "incidents", "lost"),
    [
        ([row(1, "trigger", "undelivered")], [], 1),
        ([row(1, "trigger", "sending")], [incident(1, status="triggered")], 1),
        ([row(1, "trigger")], [], 1),
        ([row(1, "trigger")], [incident(1, key="another")], 1),
        (GOOD, [incident(1, status="triggered")], 1),
        ([*GOOD, row(3, "trigger", "rejected", "other")], [incident(1)], 1),
        (GOOD, [], 2),
    ],
)
def test_lost_is_what_was_not_accepted_or_does_not_show(rows: list[Row], incidents: list[Incident], lost: int) -> None:
    """An accepted trigger has to have its alert, an accepted resolve to have closed it."""
    assert count(rows, incidents).lost == lost


def test_twice_is_every_alert_and_incident_beyond_the_first_of_its_key() -> None:
    """Two keys may have an incident each; three of one key are two too many."""
    assert count(GOOD, [incident(1), incident(2, key="other")]).twice == 0
    assert count(GOOD, [incident(1), incident(2), incident(3)]).twice == 2


def test_two_alerts_in_one_incident_are_twice() -> None:
    """A page that came twice shows as a second alert even where people merged the incidents."""
    merged, second = incident(1), incident(2)
    merged.alerts += second.alerts
    assert count(GOOD, [merged]).twice == 1


def test_only_accepted_triggers_are_pages() -> None:
    """A resolve pages nobody, nor does what was refused."""
    rows = [*GOOD, replace(row(3, "trigger"), status="superseded"), row(4, "trigger", key="other")]
    assert count(rows, []).pages == 2
