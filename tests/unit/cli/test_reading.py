"""`resolute runs` and `resolute incidents`: what they show of a store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Entry, Op, RunRow
from resolute.ledger.row import Row
from tests.unit.cli.conftest import Command

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
RUN = RunRow(
    no=1,
    id="run-one",
    flow="paging",
    fingerprint="",
    status="succeeded",
    input='{"host":"db-1"}',
    input_digest="",
    trigger="manual",
    created_at=START,
    output='{"page":"sent"}',
    finished_at=START + timedelta(seconds=2),
)
ROW = Row(
    id=1,
    idempotency_key="run-one/page",
    run_no=1,
    run_id="run-one",
    position="page",
    flow="paging",
    scheduled=False,
    service="pagerduty",
    instance="",
    lane="l",
    host_key="h",
    action="trigger",
    dedup_key="db-1",
    title="Disk full\x1b[31m",
    urgency="high",
    body="",
    event={"payload": {"summary": "Disk full"}},
    payload_digest="",
    key_secret="",
    service_key="•••• abcd",
    key_digest="d",
    created_at=START,
    since=START,
    status="accepted",
    attempts=1,
    message="Event processed",
    settled_at=START,
)
STORED: list[Op] = [
    RUN,
    Entry(1, "page", 1, "node", "page", "done", START, "pagerduty.trigger_event", 1, output='"sent"', row_id=1),
    replace(RUN, no=2, id="run-two", status="failed", error="no such host", error_key="look", output=None),
    replace(RUN, no=3, id="run-three", flow="other", status="waiting", waiting_for="its turn", finished_at=None),
    ROW,
    replace(
        ROW, id=2, idempotency_key="b", run_id="run-two", status="rejected", message="Invalid routing key", attempts=0
    ),
    replace(ROW, id=3, idempotency_key="c", dedup_key="db-2", remarks=("summary cut",)),
    replace(ROW, id=4, idempotency_key="d", status="pending", message="", settled_at=None, attempts=0),
]


@pytest.fixture
def filled(resolute: Command, tmp_path: Path) -> Command:
    """A store with three runs and four events."""

    async def fill() -> None:
        store = SqliteStore(tmp_path / "resolute.db")
        await store.open()
        await store.commit(STORED)
        await store.close()

    asyncio.run(fill())
    return resolute


def column(out: str, name: str) -> list[str]:
    """The first word of each cell of a column."""
    head, *lines = out.splitlines()
    at = head.index(name)
    return [line[at:].split("  ")[0].strip() for line in lines]


def test_runs_are_listed_newest_first(filled: Command) -> None:
    """With what they wait for, or why they failed."""
    said = filled("runs", "list")
    assert column(said.out, "RUN") == ["run-three", "run-two", "run-one"]
    assert column(said.out, "ABOUT") == ["its turn", "look: no such host", ""]
    assert column(said.out, "STARTED") == ["2026-03-01 10:00:00"] * 3


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--flow", "other"], ["run-three"]),
        (["--status", "failed"], ["run-two"]),
        (["--limit", "2"], ["run-three", "run-two"]),
        (["--flow", "none"], []),
    ],
    ids=str,
)
def test_runs_are_filtered(filled: Command, options: list[str], ids: list[str]) -> None:
    """In JSON a list is one array, empty when there is nothing."""
    assert [run["id"] for run in filled("runs", "list", "--json", *options).json] == ids


def test_nothing_found_is_said(filled: Command) -> None:
    """In words for people."""
    assert filled("runs", "list", "--flow", "none").out == "No such runs.\n"
    assert filled("incidents", "--dedup-key", "none").out == "No such events.\n"


def test_run_is_shown_with_its_journal(filled: Command) -> None:
    """Position, activity, status, attempts, what it came to, and its row in the incident log."""
    said = filled("runs", "show", "run-one")
    [line] = [line for line in said.out.splitlines() if line.startswith("page")]
    assert line.split() == ["page", "pagerduty.trigger_event", "done", "1", "10:00:00", '"sent"', "1"]
    assert '"host": "db-1"' in said.out
    assert filled("runs", "show", "run-one", "--json").json["nodes"][0]["log_id"] == 1


def test_unknown_run_names_near_ones(filled: Command) -> None:
    """Exit code 1; part of an id is enough to be reminded of it."""
    said = filled("runs", "show", "run-thre")
    assert said.code == 1
    assert "run-three" in said.err
    assert "run-two" in filled("runs", "show", "two").err


def test_what_needs_a_look_comes_first(filled: Command) -> None:
    """Unsettled and rejected rows before all others, newest first; the reason stands beside them."""
    said = filled("incidents")
    assert column(said.out, "ID") == ["4", "2", "3", "1"]
    assert column(said.out, "REMARKS") == ["", "Invalid routing key", "summary cut", ""]
    assert "\x1b" not in said.out


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--dedup-key", "db-2"], [3]),
        (["--status", "rejected"], [2]),
        (["--run", "run-two"], [2]),
        (["--limit", "1"], [4]),
        (["--run", "run-one", "--status", "pending"], [4]),
    ],
    ids=str,
)
def test_incidents_are_filtered(filled: Command, options: list[str], ids: list[int]) -> None:
    """As one JSON array, the key masked."""
    rows = filled("incidents", "--json", *options).json
    assert [row["id"] for row in rows] == ids
    assert {row["service_key"] for row in rows} == {"•••• abcd"}


def test_one_incident_is_shown_whole(filled: Command) -> None:
    """With the event as it was sent."""
    said = filled("incidents", "2")
    assert "message:          Invalid routing key" in said.out
    assert '"summary": "Disk full"' in said.out
    assert filled("incidents", "2", "--json").json["event"] == {"payload": {"summary": "Disk full"}}


def test_unknown_row_is_code_1(filled: Command) -> None:
    """It was asked for and does not exist."""
    said = filled("incidents", "99")
    assert said.code == 1
    assert "no row 99" in said.err


def test_reading_changes_nothing(filled: Command, tmp_path: Path) -> None:
    """No file appears, and the store is the same to the byte."""
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments in (["runs", "list"], ["runs", "show", "run-one"], ["incidents"], ["incidents", "1"]):
        assert filled(*arguments).code == 0
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
