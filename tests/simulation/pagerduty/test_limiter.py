"""One limit for each token, told by PagerDuty's headers: pages go first, listings give way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from resolute.errors import ProviderUnavailable
from resolute.providers.pagerduty import PagerDutyClient, PagerDutyConfig, PagerDutyProvider
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.providers.pagerduty.limiter import Limiter, Urgency, limiter_for
from resolute.secrets import Secrets
from resolute.simulator import PagerDutySimulator, SimulatorTransport
from resolute.testing.virtual_time import VirtualClock, VirtualLoop, run_virtual
from tests.unit.providers.pagerduty.conftest import NOW, StoppedClock

SPENT = {"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": "30"}


class Machine:
    """An account on virtual time, with as many clients as a test wants."""

    def __init__(self, per_minute: int) -> None:
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.simulator = PagerDutySimulator(self.clock)
        self.simulator.rules.rest_per_minute = per_minute
        self.begun = self.clock.now()

    def client(self) -> PagerDutyClient:
        """One more client of the same token."""
        settings = PagerDutySettings(api_key=self.simulator.api_key, default_from=self.simulator.first_user.email)
        return PagerDutyClient(settings, clock=self.clock, transport=SimulatorTransport(self.simulator))

    def run(self, program: Coroutine[Any, Any, None]) -> None:
        """Run it to its end."""
        try:
            run_virtual(self.loop, program)
        finally:
            self.loop.close()

    @property
    def passed(self) -> timedelta:
        """Time since the beginning."""
        return self.clock.now() - self.begun

    def answers(self) -> list[int | None]:
        """The status of each request."""
        return [request.status for request in self.simulator.requests]


async def wait_of(limiter: Limiter, urgency: Urgency) -> timedelta | None:
    """How long a request would have to wait, None when it goes at once."""
    try:
        async with asyncio.timeout(0):
            await limiter.turn("GET", "/incidents", urgency)
    except ProviderUnavailable as error:
        return error.retry_after
    except TimeoutError:
        return timedelta.max
    return None


@pytest.mark.parametrize(
    ("left", "page", "call", "listing"),
    [(0, True, False, False), (48, True, False, False), (49, True, True, False), (97, True, True, True)],
)
async def test_room_is_kept_for_what_is_more_urgent(left: int, page: bool, call: bool, listing: bool) -> None:
    """Of 960 requests a minute 48 are left to pages, and as many again to single calls."""
    kinds: list[tuple[Urgency, bool]] = [("page", page), ("call", call), ("listing", listing)]
    for urgency, goes in kinds:
        limiter = Limiter(StoppedClock())
        limiter.learn("GET", "/incidents", 200, {**SPENT, "ratelimit-remaining": str(left)})
        assert (await wait_of(limiter, urgency) is None) is goes


async def test_a_call_without_room_is_given_back_with_the_time() -> None:
    """The engine waits, without a slot; a wait of seconds is not worth that."""
    limiter = Limiter(StoppedClock())
    limiter.learn("GET", "/incidents", 200, SPENT)
    first, second = await wait_of(limiter, "call"), await wait_of(limiter, "call")
    assert first == timedelta(seconds=30)
    assert second is not None
    assert first < second < timedelta(seconds=31)


@pytest.mark.parametrize("headers", [{}, SPENT])
async def test_after_a_429_nothing_leaves(headers: dict[str, str]) -> None:
    """Not even a look-up of a page; without headers a few seconds are assumed."""
    limiter = Limiter(StoppedClock())
    limiter.learn("GET", "/incidents", 429, headers)
    assert await wait_of(limiter, "page") is not None


async def test_an_operation_with_a_limit_of_its_own_stops_no_other() -> None:
    """On-calls, and incidents made or changed in bulk, have smaller limits; their headers speak of those."""
    limiter = Limiter(StoppedClock())
    limiter.learn("GET", "/oncalls", 429, SPENT)
    assert await wait_of(limiter, "listing") is None
    with pytest.raises(ProviderUnavailable, match="GET /oncalls was not sent"):
        await limiter.turn("GET", "/oncalls", "call")


@pytest.mark.parametrize("reset", ["-5", "nan", "1e99", "soon", ""])
async def test_headers_that_make_no_sense_stop_nobody(reset: str) -> None:
    """A proxy may write anything into them."""
    limiter = Limiter(StoppedClock())
    limiter.learn("GET", "/incidents", 200, {**SPENT, "ratelimit-reset": reset})
    wait = await wait_of(limiter, "call")
    assert wait is None or wait <= timedelta(minutes=5)


async def test_a_clock_that_was_set_back_ends_the_wait() -> None:
    """A window lasts a minute, so one that seems to end tomorrow is over."""
    clock = StoppedClock()
    limiter = Limiter(clock)
    limiter.learn("GET", "/incidents", 429, SPENT)
    clock.now = lambda: NOW - timedelta(days=1)  # type: ignore[method-assign]
    assert await wait_of(limiter, "call") is None


async def test_a_new_window_has_no_more_room_than_the_last() -> None:
    """Until the first answer of a minute comes, nobody believes in more requests than PagerDuty has told of."""
    clock = StoppedClock()
    limiter = Limiter(clock)
    limiter.learn("GET", "/incidents", 200, SPENT)
    clock.now = lambda: NOW + timedelta(seconds=31)  # type: ignore[method-assign]
    waits = [await wait_of(limiter, "call") for _ in range(1_000)]
    assert waits.count(None) == 960 - 48


def test_the_second_page_of_a_list_gives_way_to_single_calls() -> None:
    """Nobody knows how many there will be; the first page goes as any call does."""
    loop = VirtualLoop()
    clock = VirtualClock(loop)
    begun, times = clock.now(), []

    def answer(request: httpx2.Request) -> httpx2.Response:
        times.append(clock.now() - begun)
        users = [{"id": f"U{len(times)}", "email": "ada@example.com"}]
        headers = {**SPENT, "ratelimit-remaining": "60"}
        return httpx2.Response(200, json={"users": users, "more": len(times) < 2}, headers=headers)

    async def program() -> None:
        settings = PagerDutySettings(api_key="k")
        client = PagerDutyClient(settings, clock=clock, transport=httpx2.MockTransport(answer))
        assert await client.find_user("ada@example.com")
        times.clear()
        assert len([user async for user in client.iter_users()]) == 2

    run_virtual(loop, program())
    loop.close()
    assert times == [timedelta(0), timedelta(seconds=30)]


def test_all_clients_of_a_token_share_one_limiter() -> None:
    """Two providers with one key would otherwise both believe in the whole limit."""
    clock = StoppedClock()
    first, second = limiter_for(clock, "https://api", "k1"), limiter_for(clock, "https://api", "k1")
    assert first is second
    assert limiter_for(clock, "https://api", "k2") is not first


def test_the_token_stands_nowhere_in_a_limiter() -> None:
    """What is kept to find it again is a digest."""
    assert "TokenTokenToken" not in repr(limiter_for(StoppedClock(), "https://api", "TokenTokenToken"))


def test_a_storm_of_calls_meets_no_429() -> None:
    """Ten nodes at once, forty requests a minute: each has its turn, and PagerDuty refuses none."""
    machine = Machine(per_minute=40)

    async def program() -> None:
        async def one(client: PagerDutyClient) -> None:
            for _ in range(10):
                while True:
                    try:
                        await client.list_services()
                        break
                    except ProviderUnavailable as error:
                        await asyncio.sleep((error.retry_after or timedelta(days=1)).total_seconds())

        await asyncio.gather(*(one(machine.client()) for _ in range(10)))
        assert machine.answers() == [200] * 100
        assert machine.passed < timedelta(minutes=4)

    machine.run(program())


def test_a_steady_stream_of_calls_meets_no_429() -> None:
    """When the oldest call leaves PagerDuty's minute there is room for one, not for sixty."""
    machine = Machine(per_minute=60)
    machine.simulator.faults.slow_s = 0.3
    machine.simulator.faults.mix({"slow": 1.0})

    async def program() -> None:
        async def one(client: PagerDutyClient) -> None:
            while True:
                try:
                    await client.list_services()
                    return
                except ProviderUnavailable as error:
                    await asyncio.sleep((error.retry_after or timedelta(days=1)).total_seconds())

        client, calls = machine.client(), []
        for _ in range(300):
            calls.append(asyncio.create_task(one(client)))
            await asyncio.sleep(0.5)
        await asyncio.gather(*calls)
        assert machine.answers() == [200] * 300

    machine.run(program())


@pytest.mark.parametrize("per_minute", [1, 2])
def test_a_limit_of_one_a_minute_lets_everything_through_in_the_end(per_minute: int) -> None:
    """Room for others is never all there is."""
    machine = Machine(per_minute)

    async def program() -> None:
        client = machine.client()
        for _ in range(3):
            assert [user.email async for user in client.iter_users(query="ada")] == ["ada@example.com"]
            await asyncio.sleep(61)
        assert set(machine.answers()) == {200}

    machine.run(program())


def test_a_crowd_comes_back_in_turns_and_not_all_at_once() -> None:
    """Hundreds of nodes that are put off are told different times: few ask twice, none meets a 429."""
    machine = Machine(per_minute=30)

    async def program() -> None:
        asked = 0

        async def one(client: PagerDutyClient) -> None:
            nonlocal asked
            while True:
                asked += 1
                try:
                    await client.list_services()
                    return
                except ProviderUnavailable as error:
                    await asyncio.sleep((error.retry_after or timedelta(days=1)).total_seconds())

        client = machine.client()
        await client.list_services()
        await asyncio.gather(*(one(client) for _ in range(200)))
        assert set(machine.answers()) == {200}
        assert asked < 3 * 200
        assert machine.passed < timedelta(minutes=15)

    machine.run(program())


def test_a_long_listing_never_delays_a_page() -> None:
    """While all incidents are read the look-up and the event of a page leave at once, every time."""
    machine = Machine(per_minute=6)

    async def program() -> None:
        client = machine.client()
        machine.simulator.rules.rest_per_minute = None
        for number in range(450):
            await client.create_incident(
                title="t", service_id=next(iter(machine.simulator.world.services)), incident_key=str(number)
            )
        machine.simulator.rules.rest_per_minute = 6
        await asyncio.sleep(120)
        since = machine.begun - timedelta(hours=1)
        listing = asyncio.create_task(count_all(client, since))
        config = PagerDutyConfig(api_key=machine.simulator.api_key)
        provider = PagerDutyProvider(config, transport=SimulatorTransport(machine.simulator))
        provider.open({}, machine.clock, Secrets({}))
        paging = provider.paging
        assert paging is not None
        event = {"event_action": "resolve", "dedup_key": "disk"}
        while not listing.done():
            now = machine.clock.now()
            assert await paging.was_received("disk", since, now, sent=now) is False
            assert (await paging.send(event, machine.simulator.routing_key)).status == "success"
            assert machine.clock.now() == now
            await asyncio.sleep(60)
        assert await listing == 450
        assert set(machine.answers()) == {200, 201, 202}

    machine.run(program())


async def count_all(client: PagerDutyClient, since: Any) -> int:
    """How many incidents there are."""
    return len([incident async for incident in client.iter_incidents(since=since)])


async def test_a_request_without_an_answer_counts_no_longer(clock: StoppedClock) -> None:
    """Its place is free again, so that outages do not use up the limit for ever."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("late")

    client = PagerDutyClient(PagerDutySettings(api_key="k"), clock=clock, transport=httpx2.MockTransport(answer))
    for _ in range(3):
        with pytest.raises(Exception, match="ReadTimeout"):
            await client.list_services()
    limiter = limiter_for(clock, PagerDutySettings().api_url, "k")
    limiter.learn("GET", "/services", 200, {**SPENT, "ratelimit-remaining": "960"})
    assert await wait_of(limiter, "listing") is None
