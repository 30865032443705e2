"""What the demo counts in the end, from the simulator's records and the ledger's rows alone."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from resolute.ledger.row import Row
from resolute.simulator.pagerduty.history import RequestRecord
from resolute.simulator.pagerduty.incidents import Alert, Incident


@dataclass(frozen=True)
class Tally:
    """The numbers of the last line.

    Attributes:
        incidents: incidents that PagerDuty has.
        pages: trigger events of the ledger that PagerDuty accepted.
        requests: requests to the Events API that reached PagerDuty's host, answered or not.
        kills: workers that ended by SIGKILL.
        lost: sends of the ledger that were not accepted, or whose effect PagerDuty does not show.
        twice: alerts and incidents beyond the first of each dedup key.
    """

    incidents: int
    pages: int
    requests: int
    kills: int
    lost: int
    twice: int

    def __str__(self) -> str:
        return " · ".join(
            [
                count(self.incidents, "incident"),
                count(self.pages, "page"),
                count(self.requests, "request"),
                f"{self.kills} kill -9",
                f"{self.lost} lost",
                f"{self.twice} twice",
            ]
        )


def tally(
    rows: Sequence[Row],
    alerts: Sequence[Alert],
    incidents: Sequence[Incident],
    requests: Iterable[RequestRecord],
    exit_codes: Iterable[int],
) -> Tally:
    """The numbers, counted."""
    return Tally(
        incidents=len(incidents),
        pages=sum(row.action == "trigger" and row.status == "accepted" for row in rows),
        requests=sum(record.api == "events" for record in requests),
        kills=sum(code == -signal.SIGKILL for code in exit_codes),
        lost=sum(not _has_arrived(row, alerts) for row in rows),
        twice=_twice(alerts, incidents),
    )


def _has_arrived(row: Row, alerts: Sequence[Alert]) -> bool:
    """Whether a send was accepted and shows: a trigger by its alert, a resolve by no alert being open."""
    matching = [alert for alert in alerts if alert.alert_key == row.dedup_key]
    if row.status != "accepted" or not matching:
        return False
    return row.action != "resolve" or all(alert.status == "resolved" for alert in matching)


def _twice(alerts: Sequence[Alert], incidents: Sequence[Incident]) -> int:
    alerts_of = Counter(alert.alert_key for alert in alerts)
    incidents_of = Counter(key for incident in incidents for key in {alert.alert_key for alert in incident.alerts})
    return sum(max(alerts_of[key], incidents_of[key]) - 1 for key in alerts_of | incidents_of)


def count(number: int, noun: str) -> str:
    """The number and its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
