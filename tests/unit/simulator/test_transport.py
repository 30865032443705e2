"""The simulator behind an httpx2 client, in process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx2
import pytest

from resolute.simulator import SimulatorTransport
from tests.unit.simulator.account import PAYLOAD, Account


@pytest.fixture
async def client(account: Account) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose network is the account's simulator."""
    headers = {"Authorization": f"Token token={account.sim.api_key}"}
    async with httpx2.AsyncClient(transport=SimulatorTransport(account.sim), headers=headers) as client:
        yield client


def event(account: Account) -> dict[str, object]:
    """A good trigger."""
    return {"routing_key": account.sim.routing_key, "event_action": "trigger", "dedup_key": "k", "payload": PAYLOAD}


async def test_both_hosts_are_served(account: Account, client: httpx2.AsyncClient) -> None:
    """The path decides, so real addresses work as well as local ones."""
    accepted = await client.post("https://events.eu.pagerduty.com/v2/enqueue", json=event(account))
    listed = await client.get(
        "https://api.eu.pagerduty.com/users", params={"query": "Ada Moreno", "include[]": "teams"}
    )
    assert (accepted.status_code, accepted.json()["dedup_key"]) == (202, "k")
    assert [user["name"] for user in listed.json()["users"]] == ["Ada Moreno"]
    assert listed.headers["ratelimit-limit"] == "960"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cut_before", httpx2.RemoteProtocolError),
        ("apply_then_cut", httpx2.RemoteProtocolError),
        ("cut_then_apply", httpx2.RemoteProtocolError),
        ("refused", httpx2.ConnectError),
    ],
)
async def test_missing_answer_is_the_error_a_socket_gives(
    account: Account, client: httpx2.AsyncClient, kind: str, error: type[httpx2.TransportError]
) -> None:
    """A provider cannot tell the simulator from a network that fails."""
    account.sim.faults.script("events", [kind])
    with pytest.raises(error):
        await client.post("http://x/v2/enqueue", json=event(account))


async def test_client_gives_up_on_a_slow_answer(account: Account, client: httpx2.AsyncClient) -> None:
    """The event is accepted all the same."""
    account.sim.faults.slow_s = 3600
    account.sim.faults.script("events", ["slow"])
    with pytest.raises(httpx2.ReadTimeout):
        await client.post("http://x/v2/enqueue", json=event(account), timeout=0.001)
    assert account.sim.requests[0].applied


async def test_slow_answer_arrives_for_who_waits(account: Account, client: httpx2.AsyncClient) -> None:
    """Without a timeout it is the service's own answer."""
    account.sim.faults.slow_s = 0.001
    account.sim.faults.script("events", ["slow"])
    answer = await client.post("http://x/v2/enqueue", json=event(account), timeout=None)
    assert answer.status_code == 202


def test_waiting_is_left_to_the_event_loop(account: Account) -> None:
    """On a loop whose clock jumps to the next timer, a slow hour takes no time."""
    account.sim.faults.slow_s = 3600
    account.sim.faults.script("events", ["slow"])

    async def send() -> int:
        async with httpx2.AsyncClient(transport=SimulatorTransport(account.sim), timeout=None) as client:
            return (await client.post("http://x/v2/enqueue", json=event(account))).status_code

    loop = JumpingLoop()
    begun = time.monotonic()
    assert loop.run_until_complete(send()) == 202
    loop.close()
    assert time.monotonic() - begun < 60


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves to the next timer whenever nothing else is left to do."""

    def __init__(self) -> None:
        super().__init__()
        self._offset = 0.0

    def time(self) -> float:
        return super().time() + self._offset

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self._offset += max(0.0, self._scheduled[0]._when - self.time())
        super()._run_once()
