"""`resolute runs cancel | retry | signal` on a store without a worker: what is done at once, kept, or refused."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import Entry, Op, PutOutline, RunRow
from tests.unit.cli.conftest import Command

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
MADE, OTHER = "01kxq2a7zv9m3t5w8r2c", "01kxq2a7zv9m3t5w8r2d"
WAITING = RunRow(
    no=1,
    id="one",
    flow="deploy",
    fingerprint="f1",
    status="waiting",
    input="null",
    input_digest="",
    trigger="client",
    created_at=START,
    waiting_for="the gate waits",
)
GATE = Entry(1, "approve", 2, "gate", "approve", "waiting", START)
STORED: list[Op] = [
    PutOutline("f1", "deploy", "node look look\neach hosts\n  gate approve\ngate release"),
    WAITING,
    Entry(1, "look", 1, "node", "look", "done", START, "look", 1, output='"ok"'),
    GATE,
    replace(WAITING, no=2, id="two", has_undo=True),
    replace(GATE, run_no=2, position="hosts[0]/approve"),
    replace(GATE, run_no=2, position="hosts[1]/approve", order=3),
    replace(WAITING, no=3, id="three", status="failed", error="no such host", finished_at=START),
    replace(WAITING, no=4, id="four"),
    replace(GATE, run_no=4, status="done", output='{"outcome":"rejected","by":"bob","at":"","reason":"","data":null}'),
    replace(WAITING, no=5, id=MADE),
    replace(WAITING, no=6, id="deploy-12"),
    replace(WAITING, no=8, id="abcdef12"),
    replace(WAITING, no=7, id=OTHER, status="succeeded", finished_at=START + timedelta(seconds=1)),
]


@pytest.fixture
def filled(resolute: Command, tmp_path: Path) -> Command:
    """A store with runs that wait at no gate, one or two."""

    async def fill() -> None:
        store = SqliteStore(tmp_path / "resolute.db")
        await store.open()
        await store.commit(STORED)
        await store.close()

    asyncio.run(fill())
    return resolute


def stored(tmp_path: Path, number: int) -> tuple[RunRow, list[Entry]]:
    return asyncio.run(ReadOnlyStore(tmp_path / "resolute.db").load(number))


def signals(tmp_path: Path, number: int) -> list[tuple[str, str]]:
    """The answers that are kept for a run."""
    _, entries = stored(tmp_path, number)
    return [(entry.key, entry.output) for entry in entries if entry.kind == "signal"]


def test_run_with_nothing_to_undo_ends_at_once(filled: Command, tmp_path: Path) -> None:
    """By whom and why stands in it."""
    said = filled("runs", "cancel", "one", "--by", "ann", "--reason", "wrong host")
    assert (said.code, said.out) == (0, "Run one of deploy: cancelled by ann: wrong host\n")
    assert stored(tmp_path, 1)[0].status == "cancelled"


def test_run_with_something_to_undo_is_left_to_a_worker(filled: Command) -> None:
    """The text says so; it is on disk, so the exit code is 0."""
    said = filled("runs", "cancel", "two")
    assert said.code == 0
    assert "the next one does it" in said.out
    assert filled("runs", "cancel", "two", "--json").json["waiting_for"] == "a worker, to be cancelled and undone"


def test_whoever_is_logged_in_gives_the_order(filled: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless somebody else is named."""
    monkeypatch.setattr(getpass, "getuser", lambda: "carol")
    assert filled("runs", "cancel", "one", "--json").json["error"] == "cancelled by carol"
    assert filled("runs", "signal", "four", "release", "--approve", "--json").json["by"] == "carol"


def test_the_one_gate_that_waits_need_not_be_named(filled: Command, tmp_path: Path) -> None:
    """Without a worker the answer is kept, and the text says by whom it will be taken."""
    said = filled("runs", "signal", "one", "--reject", "--by", "ann", "--reason", "not now", "--data", '{"n": 1}')
    assert said.code == 0
    assert 'The gate "approve" of run one is answered: rejected by ann: not now, with { "n": 1 }.' in said.out
    assert "the next worker takes it" in said.out
    [(gate, text)] = signals(tmp_path, 1)
    assert (gate, '"reason":"not now"' in text, '"data":{"n":1}' in text) == ("approve", True, True)


def test_signal_is_told_to_programs(filled: Command) -> None:
    """Whether the run waits there, and whether there is a worker that goes on with it."""
    told = filled("runs", "signal", "one", "approve", "--approve", "--by", "ann", "--json").json
    assert told == {
        "run_id": "one",
        "gate": "approve",
        "outcome": "approved",
        "by": "ann",
        "reason": "",
        "data": None,
        "gate_waits": True,
        "has_worker": False,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["two"], "waits at 2 gates. Name the one that is meant:\n  resolute runs signal two 'hosts[0]/approve'"),
        (["two", "approve"], 'waits 2 times at "approve"'),
        (["one", "aprove"], 'no gate "aprove". Did you mean "approve"?'),
        (["three"], "has ended (failed)"),
        (["three", "approve"], "has failed already"),
        (["four"], "waits at no gate now"),
        (["four", "approve"], "waits no more: it was rejected by bob"),
        (["deploy-1"], "Did you mean deploy-12?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_answer_that_nobody_would_take_is_refused(
    filled: Command, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """Exit code 1; nothing is written down."""
    said = filled("runs", "signal", *arguments, "--approve")
    assert (said.code, said.out) == (1, "")
    assert words in said.err
    assert not any(signals(tmp_path, number) for number in range(1, 7))


@pytest.mark.parametrize(
    "arguments",
    [
        ["signal", "one", "approve"],
        ["signal", "one", "approve", "--approve", "--reject"],
        ["signal", "one", "--approve", "--data", "1", "--data-file", "x"],
        ["signal", "one", "--approve", "--data", "yes"],
        ["signal", "one", "--approve", "--data-file", "none.json"],
        ["cancel"],
        ["show", "one", "--value", "look", "--all"],
    ],
    ids=" ".join,
)
def test_misuse_is_code_2(filled: Command, tmp_path: Path, arguments: list[str]) -> None:
    """Told before anything is written."""
    said = filled("runs", *arguments)
    assert (said.code, said.out) == (2, "")
    assert signals(tmp_path, 1) == []


def test_data_comes_from_a_file(filled: Command, tmp_path: Path) -> None:
    """Whatever JSON it holds."""
    (tmp_path / "data.json").write_text('[1, "ü"]', encoding="utf-8")
    assert filled("runs", "signal", "one", "--approve", "--data-file", "data.json", "--json").json["data"] == [1, "ü"]


def test_retry_needs_a_worker(filled: Command) -> None:
    """The text says how to start one."""
    said = filled("runs", "retry", "three")
    assert said.code == 1
    assert "Start one with `resolute worker MODULE`" in said.err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (MADE, MADE),
        ("5w8r2c", MADE),
        ("5w8r2d", OTHER),
        ("w8r2c", f"Did you mean {MADE}?"),
        (MADE[:10], "2 runs have an id like"),
    ],
)
def test_end_of_an_id_that_was_made_is_enough(filled: Command, given: str, words: str) -> None:
    """At least 6 characters of it, and of one run only; everything else is refused."""
    said = filled("runs", "show", given)
    assert said.code == (0 if words in (MADE, OTHER) else 1)
    assert (said.out.splitlines()[0] == f"run:       {words}") if said.out else (words in said.err)


def test_id_that_a_person_chose_is_never_completed(filled: Command, tmp_path: Path) -> None:
    """An order for "deploy-1" must not reach "deploy-12", nor one for a commit another one that begins like it."""
    for number, part, known in ((6, "deploy-1", "deploy-12"), (8, "abcdef1", "abcdef12")):
        said = filled("runs", "cancel", part)
        assert (said.code, known in said.err) == (1, True)
        assert stored(tmp_path, number)[0].status == "waiting"


def test_one_value_is_printed_alone(filled: Command) -> None:
    """As JSON; a position that the run has not, or not yet, is refused with what it has."""
    assert filled("runs", "show", "one", "--value", "look").out == '"ok"\n'
    assert filled("runs", "show", "one", "--value", "run.input", "--json").json is None
    assert "Did you mean look?" in filled("runs", "show", "one", "--value", "lock").err
    assert "it is waiting" in filled("runs", "show", "one", "--value", "approve").err


def test_orders_on_a_store_that_is_not_there_are_code_3(resolute: Command, tmp_path: Path) -> None:
    """And make none."""
    for order in (["cancel", "one"], ["retry", "one"], ["signal", "one", "approve", "--approve"], ["show", "one"]):
        assert resolute("runs", *order).code == 3
    assert list(tmp_path.iterdir()) == []
