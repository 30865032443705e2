"""`resolute schedule` without a worker: what is listed, and what is written down for the next one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resolute.cron import tick_before
from resolute.engines.embedded.schedules import tick_run_id
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Op, PutTick, RunRow
from resolute.model.activity import activity
from resolute.model.flow import flow
from resolute.model.trigger import schedule
from tests.unit.cli.conftest import Command, Said

NOW = datetime.now(UTC)
DAILY, HOURLY = "schedule:30 7 * * *:Europe/Berlin", "schedule:@hourly:UTC"
FLOWS = """
from resolute import activity, flow, manual, schedule

@activity
def look() -> int:
    return 1

report = (
    flow("report")
    .triggered_by(schedule("30 7 * * *", timezone="Europe/Berlin", overlap="skip"), schedule("@hourly"))
    .then(look())
    .build()
)
by_hand = flow("by-hand").triggered_by(manual()).then(look().as_("x")).build()
"""


@pytest.fixture
def said(resolute: Command, tmp_path: Path) -> Command:
    """The command in a folder with two flows."""
    (tmp_path / "flows.py").write_text(FLOWS, encoding="utf-8")
    return lambda *arguments: resolute("--module", "flows.py", "schedule", *arguments)


def paused(said: Command) -> list[bool]:
    return [each["paused"] for each in said("list", "--json").json]


@activity(name="look")
def look_again() -> int:
    return 1


async def write(path: Path, *ops: Op) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.commit(list(ops))
    await store.close()


def test_schedules_are_listed_without_a_store(said: Command, tmp_path: Path) -> None:
    """Rule, zone and the next three ticks; no file is made for it."""
    daily, hourly = said("list", "--json").json
    assert (daily["trigger"], daily["text"], daily["overlap"]) == (DAILY, "every day at 07:30 (Europe/Berlin)", "skip")
    assert (hourly["flow"], hourly["cron"], hourly["timezone"], hourly["catch_up"]) == (
        "report",
        "@hourly",
        "UTC",
        "latest",
    )
    ticks = [datetime.fromisoformat(at) for at in hourly["next"]]
    assert [later - ticks[0] for later in ticks] == [timedelta(0), timedelta(hours=1), timedelta(hours=2)]
    assert (daily["last_tick"], daily["last_run"], daily["paused"]) == (None, None, False)
    assert not (tmp_path / "resolute.db").exists()


def test_last_tick_is_listed_with_its_run(said: Command, tmp_path: Path) -> None:
    """A time at which a worker first saw the schedule is no tick."""
    at = tick_before("@hourly", "UTC", NOW)
    made = flow("report").triggered_by(schedule("30 7 * * *", timezone="Europe/Berlin"), schedule("@hourly"))
    run_id = tick_run_id(made.then(look_again()).build(), HOURLY, at)
    run = RunRow(1, run_id, "report", "f", "succeeded", "null", "d", HOURLY, at, True, finished_at=at, scheduled_at=at)
    first_seen = at - timedelta(minutes=7, microseconds=1)
    asyncio.run(
        write(tmp_path / "resolute.db", run, PutTick("report", HOURLY, at), PutTick("report", DAILY, first_seen))
    )
    daily, hourly = said("list", "--json").json
    assert (hourly["last_tick"], hourly["last_run"]) == (at.isoformat(), {"id": run_id, "status": "succeeded"})
    assert (daily["last_tick"], daily["last_run"]) == (None, None)
    assert "succeeded" in said("list").out


@pytest.mark.parametrize(
    ("named", "expected"),
    [([], [True, True]), (["@hourly"], [False, True]), ([DAILY], [True, False]), (["every hour"], [False, True])],
)
def test_flow_is_paused_and_resumed_as_a_whole_or_by_a_schedule(
    said: Command, named: list[str], expected: list[bool]
) -> None:
    """It is on disk for the next worker, and the list shows it."""
    first = said("pause", "report", *named)
    assert (first.code, first.out.count("is paused")) == (0, sum(expected))
    assert paused(said) == expected
    assert "goes on; its next tick is at" in said("resume", "report").out
    assert paused(said) == [False, False]


def test_resumed_schedule_makes_up_for_nothing(said: Command, tmp_path: Path) -> None:
    """The ticks that passed while it was paused were seen to."""
    asyncio.run(write(tmp_path / "resolute.db", PutTick("report", HOURLY, NOW - timedelta(hours=9))))
    said("pause", "report")
    said("resume", "report")
    ticks = asyncio.run(ReadOnlyStore(tmp_path / "resolute.db").ticks())
    assert ticks["report", HOURLY].at >= NOW


def test_fired_run_is_left_to_the_next_worker(said: Command) -> None:
    """Its trigger says that it was fired, and by which schedule's name."""
    assert "the next worker begins it" in said("fire", "report", "@hourly").out
    run = said("fire", "report", "--json").json
    assert (run["flow"], run["status"], run["trigger"]) == ("report", "queued", f"fired:{DAILY}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pause", "by-hand"], 'no flow "by-hand" with a schedule. Flows with one: report.'),
        (["resume", "nobody"], 'no flow "nobody" with a schedule. Flows with one: report.'),
        (["pause", "report", "@daily"], f'has no schedule "@daily". Name one of these:\n  "{DAILY}"\n  "{HOURLY}"'),
    ],
)
def test_schedule_that_is_not_there(said: Command, arguments: list[str], told: str) -> None:
    """The message names those that are; nothing is written."""
    answer: Said = said(*arguments)
    assert answer.code == 2
    assert told in answer.err
