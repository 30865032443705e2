"""What the simulator's tests share: a clock moved by hand, and short ways to send requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from resolute.simulator import PagerDutySimulator, SimAnswer, SimRequest

START = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
ACCEPT = "application/vnd.pagerduty+json;version=2"
PAYLOAD = {"summary": "Disk full", "source": "db-1", "severity": "critical"}


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, delta: timedelta) -> None:
        self._now += delta


class Account:
    """A simulator with its clock; `send` and `get` return once the events before them are processed."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sim = PagerDutySimulator(self.clock)

    def post(self, body: object, *, path: str = "/v2/enqueue") -> SimAnswer:
        """Send JSON, or bytes as they are, to the Events API."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.sim.handle(SimRequest("POST", path, {"Content-Type": "application/json"}, data))

    def enqueue(self, action: str = "trigger", key: str = "disk", **payload: object) -> SimAnswer:
        """Send an event of the first service; a trigger gets a payload, which `payload` changes."""
        event: dict[str, object] = {"routing_key": self.sim.routing_key, "event_action": action, "dedup_key": key}
        return self.post(event | ({"payload": PAYLOAD | payload} if action == "trigger" else {}))

    def send(self, action: str = "trigger", key: str = "disk", **payload: object) -> None:
        """The same, accepted and processed."""
        assert self.enqueue(action, key, **payload).status == 202
        self.clock.advance(timedelta(seconds=1))
        self.sim.settle()

    def wait(self, **span: float) -> None:
        """Let time pass, e.g. `wait(minutes=30)`, and all that falls due in it happen."""
        self.clock.advance(timedelta(**span))
        self.sim.settle()

    def log(self, incident: str = "1") -> list[str]:
        """Kinds of the log entries of an incident, oldest first, without their common ending."""
        found = next(each for each in self.sim.incidents if incident in (each.id, str(each.number)))
        return [entry.type.removesuffix("_log_entry") for entry in found.log]

    def write(self, method: str, path: str, body: object = None, sender: str = "ada@example.com") -> SimAnswer:
        """Send a REST request on behalf of the user with this address."""
        return self.request(method, path, body=body, headers={"From": sender})

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, object] | None = None,
        *,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> SimAnswer:
        """Send a REST request with a full API key; `headers` adds to what a good client sends."""
        target = path + (f"?{urlencode(query, doseq=True)}" if query else "")
        sent = {"Authorization": f"Token token={self.sim.api_key}", "Accept": ACCEPT}
        sent |= {"Content-Type": "application/json"} if body is not None else {}
        data = b"" if body is None else json.dumps(body).encode()
        return self.sim.handle(SimRequest(method, target, sent | (headers or {}), data))

    def get(self, path: str, **query: object) -> Any:
        """The JSON of a good answer; `statuses=[...]` is sent as `statuses[]=`."""
        named = {f"{name}[]" if isinstance(value, list) else name: value for name, value in query.items()}
        answer = self.request("GET", path, named)
        assert answer.status == 200, answer
        return answer.json()

    def keys(self, **query: object) -> list[str]:
        """Dedup keys of the incidents that `GET /incidents` lists, in its order."""
        alerts = {alert.incident_id: alert.alert_key for alert in self.sim.alerts}
        return [alerts[incident["id"]] for incident in self.get("/incidents", **query)["incidents"]]

    def update(self, incident: str, sender: str | None = "ada@example.com", **change: object) -> SimAnswer:
        """Update an incident by id or number, as the user with this address."""
        body = {"incident": {"type": "incident_reference"} | change}
        return self.request("PUT", f"/incidents/{incident}", body=body, headers={"From": sender} if sender else None)

    def send_until_accepted(self) -> None:
        """Repeat the default trigger until it is answered 202, then let it be processed."""
        while self.enqueue().status != 202:
            pass
        self.clock.advance(timedelta(seconds=1))
