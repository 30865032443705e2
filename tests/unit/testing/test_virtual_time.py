"""Virtual time: hours pass at once and every history repeats."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from resolute.testing.virtual_time import START, Stuck, VirtualClock, VirtualLoop, run_virtual


@pytest.fixture
def loop() -> VirtualLoop:
    """A loop that the test need not close: it holds no socket of its own."""
    return VirtualLoop()


def test_a_day_passes_without_waiting(loop: VirtualLoop) -> None:
    """The clock shows the time that the program slept."""
    clock = VirtualClock(loop)
    run_virtual(loop, asyncio.sleep(86400))
    loop.close()
    assert clock.now() == START + timedelta(days=1)


def test_time_goes_on_after_a_year(loop: VirtualLoop) -> None:
    """Beside so many seconds the resolution of the machine's clock is nothing, and a timer would never be due."""
    loop.jump(2.0**25)
    run_virtual(loop, asyncio.wait_for(asyncio.sleep(1), 60))
    loop.close()
    assert loop.time() == 2.0**25 + 1


def test_timers_fire_in_the_order_of_their_times(loop: VirtualLoop) -> None:
    """Whatever the order in which they were set."""
    seen: list[int] = []

    async def note(after: int) -> None:
        await asyncio.sleep(after)
        seen.append(after)

    async def program() -> None:
        await asyncio.gather(note(3), note(1), note(2))

    run_virtual(loop, program())
    loop.close()
    assert seen == [1, 2, 3]


def test_a_clock_that_is_set_back_leaves_waits_as_they_are(loop: VirtualLoop) -> None:
    """Durations go by the loop, not by the wall."""
    clock = VirtualClock(loop)

    async def program() -> None:
        clock.shift(timedelta(hours=-1))
        await asyncio.sleep(60)

    run_virtual(loop, program())
    loop.close()
    assert clock.now() == START - timedelta(hours=1) + timedelta(minutes=1)


def test_a_program_that_waits_for_nothing_is_told_so(loop: VirtualLoop) -> None:
    """It would hang for ever otherwise."""

    async def program() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match="Nothing is left to do"):
        run_virtual(loop, program())
    loop.close()


def test_what_is_given_to_an_executor_runs_at_once(loop: VirtualLoop) -> None:
    """Its result or error comes back as from a thread."""

    def breaks() -> int:
        raise StopIteration("no more")

    async def program() -> int:
        with pytest.raises(RuntimeError, match="StopIteration: no more"):
            await asyncio.to_thread(breaks)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(lambda: 7)

    assert run_virtual(loop, program()) == 7
    loop.close()
