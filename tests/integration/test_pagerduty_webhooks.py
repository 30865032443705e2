"""The local PagerDuty delivers over a socket to a worker, and the worker's runs answer over REST: the whole circle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute import Flow, Worker, WorkerConfig, activity, flow, input_data, output
from resolute.clock import SystemClock
from resolute.ports import Ports
from resolute.providers import pagerduty
from resolute.providers.pagerduty import PagerDutyProvider, WebhookEvent, WebhookSubscription
from resolute.simulator import Incident, PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer

PATIENCE_S = 20.0
LOOK_S = 0.01
TYPES = ["incident.triggered", "incident.acknowledged", "incident.annotated", "incident.resolved"]


class Circle:
    """A worker and a PagerDuty that know each other's address.

    Attributes:
        seen: the events that runs were started for, in the order in which they ran.
    """

    def __init__(self, server: SimulatorServer, flow: Flow | None = None) -> None:
        self.server = server
        self.seen: list[WebhookEvent] = []
        simulator = server.call(lambda simulator: simulator)
        self.environ = {
            "PAGERDUTY_EVENTS_URL": server.url,
            "PAGERDUTY_API_URL": server.url,
            "PAGERDUTY_API_KEY": simulator.api_key,
            "PAGERDUTY_SERVICE_KEY": simulator.routing_key,
            "PAGERDUTY_FROM": simulator.first_user.email,
            "PAGERDUTY_WEBHOOK_SECRET": "not-yet-known",
        }
        self.account = PagerDutyProvider()
        self.worker = Worker(
            WorkerConfig(engine="memory:", webhooks="127.0.0.1:0"),
            flows=[flow or self.flow()],
            providers=[self.account],
            ports=Ports(environ=self.environ),
        )

    def flow(self) -> Flow:
        """Writes a note on each new incident."""

        @activity
        async def note_down(event: WebhookEvent) -> str:
            self.seen.append(event)
            return f"Seen: {event.incident_title}"

        return (
            flow("respond")
            .triggered_by(pagerduty.webhook("/pagerduty"))
            .then(pagerduty.parse_webhook(event=input_data("")).as_("event"))
            .then(note_down(event=output("event")).as_("noted"))
            .when(output("event.type") == "incident.triggered")
            .then(pagerduty.add_note(incident_id=output("event.incident_id"), content=output("noted")))
            .end_when()
            .build()
        )

    async def subscribe(self) -> WebhookSubscription:
        """Have these types delivered to the worker."""
        url = f"{self.worker.webhooks_url}/pagerduty"
        return await self.account.client.create_webhook_subscription(url, events=TYPES)

    async def page(self) -> Incident:
        """An incident that was opened by an event."""
        payload = {"summary": "Disk full", "source": "db-1", "severity": "critical"}
        event: dict[str, Any] = {"event_action": "trigger", "dedup_key": "disk", "payload": payload}
        await self.account.client.enqueue(event, self.environ["PAGERDUTY_SERVICE_KEY"])
        return self.server.call(lambda simulator: simulator.incidents[-1])

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Go on once something is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110 - nothing tells what another process has done
                await asyncio.sleep(LOOK_S)

    def ended(self) -> list[str]:
        """How each delivery stands."""
        return self.server.call(lambda simulator: [delivery.state for delivery in simulator.deliveries])


@pytest.fixture
async def circle() -> AsyncIterator[Circle]:
    """Both are up, and nothing is subscribed."""
    with SimulatorServer(PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))) as server:
        circle = Circle(server)
        async with circle.worker:
            yield circle


async def test_each_event_of_an_incident_starts_a_typed_run(circle: Circle) -> None:
    """From the page to its end, with the note that the first run wrote in between."""
    subscription = await circle.subscribe()
    assert subscription.secret
    circle.environ["PAGERDUTY_WEBHOOK_SECRET"] = subscription.secret
    incident = await circle.page()
    await circle.until(lambda: len(circle.seen) == 2)
    await circle.account.client.update_incident(incident.id, status="acknowledged")
    await circle.account.client.update_incident(incident.id, status="resolved")
    await circle.until(lambda: len(circle.seen) == 4)
    assert {event.type for event in circle.seen} == set(TYPES)
    assert {event.incident_id for event in circle.seen} == {incident.id}
    notes = [event.data.content for event in circle.seen if isinstance(event.data, pagerduty.NoteData)]
    assert notes == ["Seen: Disk full"]


async def test_a_worker_with_another_secret_starts_nothing(circle: Circle) -> None:
    """PagerDuty hears 401 and drops the delivery."""
    await circle.subscribe()
    await circle.page()
    await circle.until(lambda: "dropped" in circle.ended())
    assert circle.seen == []


class Disk(BaseModel):
    """What PagerDuty never sends."""

    disk: str


async def test_what_the_flow_does_not_accept_is_taken_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal would soon end the subscription; no run is started, and the log says so."""
    strict = flow("strict").triggered_by(pagerduty.webhook("/pagerduty")).accepts(Disk)
    with SimulatorServer(PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))) as server:
        circle = Circle(server, strict.then_gate("answer").build())
        async with circle.worker:
            subscription = await circle.subscribe()
            assert subscription.secret
            circle.environ["PAGERDUTY_WEBHOOK_SECRET"] = subscription.secret
            await circle.page()
            await circle.until(lambda: circle.ended() == ["delivered"])
            assert await circle.worker.client.runs() == []
    assert "starts no run of flow strict" in caplog.text


async def test_a_ping_is_answered_and_starts_no_run(circle: Circle) -> None:
    """What the command `webhooks ping` asks for."""
    subscription = await circle.subscribe()
    circle.environ["PAGERDUTY_WEBHOOK_SECRET"] = f"old,{subscription.secret}"
    await circle.account.client.ping_webhook_subscription(subscription.id)
    await circle.until(lambda: circle.ended() == ["delivered"])
    assert await circle.worker.client.runs() == []
