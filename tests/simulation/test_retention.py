"""Retention: what is pruned, what never is, and whose an id is afterwards; also when the worker is killed meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolute import Flow, activity, flow, manual, schedule
from resolute.engine import STATUSES, RunQuery, RunView
from resolute.engines.embedded.memory import ENDED, Tables
from resolute.engines.embedded.retention import BATCH, Rule, Selection
from resolute.engines.embedded.store import Entry, Op, Prune, RunRow
from resolute.errors import RunConflict, RunNotFound, RunPruned
from resolute.ledger.row import Row
from tests.contract.rows import row
from tests.simulation.alerts import by_hand
from tests.simulation.rig import Rig

pytestmark = pytest.mark.simulation

ALL = Selection(keep=0)
MONTH = timedelta(days=30)


@activity
async def one() -> int:
    return 1


@activity
async def fails() -> int:
    raise OSError("no")


PLAIN = flow("plain").triggered_by(manual()).then(one()).build()


async def ended(rig: Rig, name: str, run_id: str, input: Any = None) -> RunView:
    """A run that has ended and left memory."""
    await rig.engine.start(name, input, run_id=run_id)
    await rig.engine.result(run_id)
    await rig.wait(seconds=1)
    return await rig.engine.get(run_id)


# Ids


def test_start_with_the_id_of_a_pruned_run_returns_that_run() -> None:
    """It tells how the run ended and that the rest is gone; nothing runs, and another input is a conflict."""
    rig = Rig(1, [PLAIN])

    async def program() -> None:
        engine = await rig.up()
        await ended(rig, "plain", "a", {"x": 1, "y": 2})
        assert await engine.retention.prune(ALL) == 1
        again = await engine.start("plain", {"y": 2, "x": 1}, run_id="a")
        assert (again.status, again.pruned_at) == ("succeeded", rig.clock.now())
        assert "was pruned on 2026-03-02" in again.error
        with pytest.raises(RunConflict, match="belongs to a run of another flow or input"):
            await engine.start("plain", {"x": 2}, run_id="a")
        assert rig.tables.runs == {}

    rig.run(program)


@pytest.mark.parametrize("ask", ["get", "result", "cancel", "retry", "signal"])
def test_whatever_is_asked_of_a_pruned_run_says_so_and_when(ask: str) -> None:
    """One that never was is only not found."""
    rig = Rig(1, [PLAIN])

    async def program() -> None:
        engine = await rig.up()
        await ended(rig, "plain", "a")
        await engine.retention.prune(ALL)
        gate = ("gate",) if ask == "signal" else ()
        with pytest.raises(RunPruned, match=r'"a" has succeeded on .* and was pruned on 2026-03-02 10:00:01 UTC'):
            await getattr(engine, ask)("a", *gate)
        with pytest.raises(RunNotFound) as caught:
            await getattr(engine, ask)("b", *gate)
        assert not isinstance(caught.value, RunPruned)

    rig.run(program)


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["worker was down", "worker forgets"])
def test_id_is_free_after_thirty_days(is_forgotten: bool) -> None:
    """Not a day sooner; its number is never given again."""
    rig = Rig(1, [PLAIN])

    async def program() -> None:
        engine = await rig.up()
        await ended(rig, "plain", "a")
        await engine.retention.prune(ALL)
        await engine.close()
        rig.clock.shift(MONTH - timedelta(minutes=5))
        engine = await rig.up()
        assert (await engine.start("plain", run_id="a")).pruned_at is not None
        if is_forgotten:
            engine.retain(Rule())
            await rig.wait(days=2)
            assert rig.tables.pruned == {}
        else:
            rig.clock.shift(timedelta(minutes=6))
        assert (await ended(rig, "plain", "a")).status == "succeeded"
        assert list(rig.tables.runs) == [2]

    rig.run(program)


def test_id_under_which_something_was_sent_is_never_free() -> None:
    """Its rows in the incident log stay, and another run under this id would be told apart from them by nothing."""
    rig = Rig(1, by_hand())

    async def program() -> None:
        engine = await rig.up()
        await ended(rig, "page", "a")
        assert await engine.retention.prune(ALL) == 0
        await ended(rig, "resolve", "b")
        assert await engine.retention.prune(ALL) == 2
        rig.clock.shift(2 * MONTH)
        await engine.retention.forget()
        assert (await engine.start("page", run_id="a")).pruned_at is not None
        assert len(rig.rows()) == 2

    rig.run(program)


# What is never pruned

SHAPES = st.lists(
    st.tuples(
        st.sampled_from(STATUSES),
        st.integers(0, 40),  # days since it ended
        st.sampled_from(["manual", "child", "queued behind"]),
        st.integers(1, 3),  # of the run so many before it
        st.none() | st.sampled_from(["pending", "open", "repeat", "accepted"]),
    ),
    max_size=14,
)


def filled(rig: Rig, shapes: list[Any]) -> None:
    """A store with these runs, each with an entry."""
    for no, (status, days, kind, back, sent) in enumerate(shapes, 1):
        now, of = rig.clock.now(), no - back
        other = rig.tables.runs.get(of)
        made = RunRow(no, f"r{no}", f"f{no % 2}", "", status, "null", "", "manual", now)
        if kind == "child" and other is not None:
            made = replace(made, id=f"{other.id}/{no}", trigger=f"child:{of}")
        if kind == "queued behind" and other is not None and status in ("queued", "cancelled"):
            made = replace(made, after_no=of)
        ops: list[Op] = [made.but(finished_at=now - timedelta(days=days) if status in ENDED else None)]
        ops.append(Entry(no, "a", 0, "node", "a", "done", now, output="1"))
        if sent is not None:
            ops.append(send(no, made.id, sent))
        rig.tables.apply(ops)


def send(no: int, run_id: str, state: str) -> Row:
    """A row of the incident log that matters in this way, or does not."""
    at = {"repeat_at": row(1).created_at} if state == "repeat" else {}
    settled = "pending" if state == "pending" else "accepted"
    return row(no, run_no=no, run_id=run_id, status=settled, is_open=state == "open", **at)


def needed(tables: Tables) -> set[int]:
    """The runs that something needs, told in another way than the store does."""
    runs, found = tables.runs, set()
    for no, run in runs.items():
        if run.status not in ENDED:
            found.add(no)
            before = run
            while run.status == "queued" and before.after_no in runs and before.status in ("queued", "cancelled"):
                before = runs[before.after_no]
                found.add(before.no)
        kin = [other for other in runs.values() if f"child:{other.no}" == run.trigger]
        kin += [other for other in runs.values() if other.trigger == f"child:{no}"]
        if any(other.status not in ENDED for other in kin):
            found.add(no)
    for sent in tables.rows.values():
        if not sent.is_settled or sent.is_open or sent.repeat_at is not None:
            found.add(sent.run_no)
    return found


@given(shapes=SHAPES, days=st.none() | st.integers(0, 40), keep=st.none() | st.integers(0, 3))
def test_nothing_that_matters_is_ever_removed(shapes: list[Any], days: int | None, keep: int | None) -> None:
    """And all the rest that the rule names is, with its journal, its number and id told from then on."""
    rig = Rig(1, [])
    filled(rig, shapes)
    before, must_stay = dict(rig.tables.runs), needed(rig.tables)

    async def program() -> None:
        engine = await rig.up(drives_all=False)
        now = rig.clock.now()
        await engine.retention.sweep(Rule(None if days is None else timedelta(days=days), keep))
        left = set(rig.tables.runs)
        assert must_stay <= left
        assert set(rig.tables.entries) == left
        finished = [run for run in before.values() if run.status in ENDED]
        for run in finished:
            newer = sum(other.no > run.no for other in finished if other.flow == run.flow)
            is_old = days is not None and run.finished_at is not None and run.finished_at < now - timedelta(days=days)
            is_named = is_old or (keep is not None and newer >= keep)
            assert (run.no in left) == (not is_named or run.no in must_stay)
        assert {found.no for found in rig.tables.pruned.values()} == set(before) - left
        assert len(rig.rows()) == sum(sent is not None for *_, sent in shapes)

    rig.run(program)


def test_run_through_which_a_queued_one_finds_its_turn_stays() -> None:
    """It was cancelled in the queue; without it the one behind it would begin beside the one before it."""
    made = flow("f").triggered_by(schedule("*/10 * * * *", overlap="queue")).then(one())
    rig = Rig(1, [made.then_sleep(timedelta(minutes=25)).build()])

    async def program() -> None:
        engine = await rig.up()
        await rig.wait(minutes=31)
        await engine.cancel("f@2026-03-02T10:20:00Z")
        assert await engine.retention.prune(ALL) == 0
        await rig.kill()
        await rig.up()
        await rig.wait(minutes=1)
        assert list(rig.statuses().values()) == ["waiting", "cancelled", "queued"]
        await rig.wait(minutes=5)
        assert await rig.engine.retention.prune(ALL) == 2

    rig.run(program)


def test_child_of_a_pruned_parent_can_be_taken_up_again() -> None:
    """Its end wakes a parent that is no more, and the worker goes on."""
    child = flow("child").triggered_by(manual()).then(fails()).build()
    parent = flow("parent").triggered_by(manual()).then_children("kids", child, inputs=[1]).build()
    rig = Rig(1, [parent, child])

    async def program() -> None:
        engine = await rig.up()
        await ended(rig, "parent", "p")
        assert await engine.retention.prune(replace(ALL, flow="parent")) == 1
        await engine.retry("p/kids[0]")
        assert (await engine.result("p/kids[0]")).status == "failed"
        await rig.wait(minutes=1)
        assert not engine.broken.done()
        assert await engine.retention.prune(ALL) == 1

    rig.run(program)


# While others are at work


def test_busy_worker_is_left_alone_for_a_moment_only() -> None:
    """Or a store whose worker is never idle would grow for ever."""

    @activity
    async def long() -> int:
        await asyncio.sleep(3600)
        return 1

    rig = Rig(1, [PLAIN, flow("long").triggered_by(manual()).then(long()).build()])

    async def program() -> None:
        engine = await rig.up()
        for no in range(3 * BATCH):
            await engine.start("plain", run_id=f"r{no}")
        await rig.wait(minutes=1)
        for _ in range(50):
            await engine.start("long")
        begun_s = rig.loop.time()
        assert await engine.retention.sweep(Rule(keep_runs=1)) == 3 * BATCH - 1
        assert 3 * 2 <= rig.loop.time() - begun_s < 60

    rig.run(program)


@pytest.mark.parametrize("seed", range(8))
def test_worker_that_is_killed_while_it_prunes(seed: int) -> None:
    """A run is whole or gone, and told to be gone; the next worker goes on; no number is given again."""
    rig = Rig(seed, [PLAIN], slow_disk=True)
    count = 2 * BATCH + 50

    def check() -> None:
        assert set(rig.tables.runs) == set(rig.tables.entries)
        assert {run.id for run in rig.tables.runs.values()}.isdisjoint(rig.tables.pruned)
        assert len(rig.tables.runs) + len(rig.tables.pruned) == count

    async def program() -> None:
        now = rig.clock.now()
        for no in range(1, count + 1):
            run = RunRow(no, f"r{no}", "plain", "", "succeeded", "null", "", "manual", now, finished_at=now)
            rig.tables.apply([run, Entry(no, "one", 0, "node", "one", "done", now)])
        await rig.wait(days=2)
        for _ in range(4):
            (await rig.up()).retain(Rule(timedelta(days=1)))
            await asyncio.sleep(60 + rig.random.random() * 0.7)
            await rig.kill()
            check()
        (await rig.up()).retain(Rule(timedelta(days=1)))
        await rig.wait(minutes=2)
        check()
        assert rig.tables.runs == {}
        await rig.engine.start("plain", run_id="new")
        assert list(rig.tables.runs) == [count + 1]

    rig.run(program)


def test_worker_prunes_by_itself_and_the_store_stays_as_it_is() -> None:
    """Forty days of runs every half an hour: as much is in the store in the end as after three days."""
    made = flow("f").triggered_by(schedule("*/30 * * * *")).then(one()).build()
    rig, sizes = Rig(1, [made]), []

    async def program() -> None:
        engine = await rig.up()
        engine.retain(Rule(timedelta(days=2)))
        for _ in range(40):
            await rig.wait(days=1)
            sizes.append((len(rig.tables.runs), len(rig.tables.entries), len(rig.tables.pruned)))
        assert max(runs for runs, _, _ in sizes) <= 2 * 48 + 2
        assert {runs == entries for runs, entries, _ in sizes} == {True}
        assert max(pruned for _, _, pruned in sizes) <= 31 * 48
        assert sizes[-1] == sizes[-5]
        assert len(await engine.runs(RunQuery(limit=1000))) == sizes[-1][0]

    rig.run(program)


def test_pruned_tick_is_not_run_again() -> None:
    """A clock that was set back finds the tick seen to."""
    made: Flow = flow("f").triggered_by(schedule("*/10 * * * *")).then(one()).build()
    rig = Rig(1, [made])

    async def program() -> None:
        engine = await rig.up()
        await rig.wait(minutes=11)
        await engine.core.store.commit([Prune(1, rig.clock.now())])
        first = await engine.start("f", run_id="f@2026-03-02T10:10:00Z", scheduled_at=rig.clock.now())
        assert (first.status, first.pruned_at) == ("succeeded", rig.clock.now())

    rig.run(program)
