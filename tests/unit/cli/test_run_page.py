"""One run as people see it: where it is, what it waits for, and what went wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from resolute.cli.run_page import came_to, page, undone, value
from resolute.cli.run_waits import waits
from resolute.engine import NodeView, RunView
from tests.unit.cli.journal import START, entry, run_of

LARGE = {"large_value": {"sha256": "0" * 64, "characters": 12_345_678}}
LATER = START + timedelta(hours=2)


def told(run: RunView, *, whole: bool = False) -> str:
    """The whole page."""
    return "\n".join(page(run, worker=True, whole=whole))


def test_gate_is_told_with_the_command_that_answers_it() -> None:
    """To be copied as it stands."""
    run = run_of(entry("approve", "waiting", "gate", due_at=LATER), id="deploy shop")
    assert waits(run) == [
        'the gate "approve" until 2026-03-01 12:00:00 UTC; answer it with --approve or --reject:',
        "  resolute runs signal 'deploy shop' approve --approve",
    ]


def test_gate_that_waits_several_times_is_named_by_its_position() -> None:
    """Otherwise an answer would go to any of them."""
    lines = waits(run_of(*(entry(f"each[{n}]/approve", "waiting", "gate") for n in range(2))))
    assert [line for line in lines if "resolute" in line] == [
        "  resolute runs signal run-one 'each[0]/approve' --approve",
        "  resolute runs signal run-one 'each[1]/approve' --approve",
    ]


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (entry("rest", "waiting", "sleep", due_at=LATER), '"rest" sleeps until 2026-03-01 12:00:00 UTC'),
        (
            entry("look", "waiting", attempt=2, due_at=LATER, error="503\nbody"),
            '"look" is tried again at 2026-03-01 12:00:00 UTC (attempt 3): 503',
        ),
        (entry("look", "waiting", due_at=LATER), '"look" waits for its turn at 2026-03-01 12:00:00 UTC'),
        (entry("subs[1]", "waiting", "child"), '"subs[1]" waits for the run run-one/subs[1]'),
    ],
)
def test_each_kind_of_wait_is_told(node: NodeView, text: str) -> None:
    """What it is, and until when."""
    assert waits(run_of(node)) == [text]


def test_many_waits_are_counted() -> None:
    """Five of a kind, and how many more."""
    assert waits(run_of(*(entry(f"e[{n}]/rest", "waiting", "sleep") for n in range(9))))[-1] == "and 4 more of the kind"


@pytest.mark.parametrize(("status", "words"), [("queued", ["a worker"]), ("succeeded", [])])
def test_run_that_is_not_at_work_waits_at_none_of_its_steps(status: str, words: list[str]) -> None:
    """One that is queued waits for a worker, one that is over for nothing."""
    assert waits(run_of(entry("approve", "waiting", "gate"), status=status, waiting_for="a worker")) == words


def test_page_that_waits_is_told_in_the_words_of_the_log() -> None:
    """Only the engine knew why."""
    run = run_of(entry("page", "running", log_id=7), waiting_for='"page" (trigger "db", row 7) waits for its turn')
    assert waits(run) == ['"page" (trigger "db", row 7) waits for its turn']


def test_unfinished_run_without_a_worker_says_so() -> None:
    """It is the first thing to mend."""
    lines = page(run_of(entry("approve", "waiting", "gate")), worker=False)
    assert any(line.startswith("worker:") and "none" in line for line in lines)


def test_errors_are_told_in_full() -> None:
    """Line by line, with what cannot be shown escaped; the table keeps to one line."""
    error = f"first {'x' * 300}\nsecond \x1b[31m"
    text = told(run_of(entry("look", "failed", error=error, attempt=3), status="failed", error_key="look", error=error))
    assert f"  first {'x' * 300}\n  second \\x1b[31m" in text
    assert "look (node, 3 attempts) failed:" in text
    assert "\x1b[31msecond" not in text


def test_only_some_of_many_errors_are_told_in_full() -> None:
    """`--all` tells every one."""
    run = run_of(*(entry(f"e[{n}]/look", "failed", error=f"error {n}") for n in range(20)))
    assert "and 15 more; --all shows every error" in told(run)
    assert "e[19]/look (node) failed:\n  error 19" in told(run, whole=True)


def test_undo_is_a_table_of_its_own() -> None:
    """What was to be undone, by which node, and what came of it; a fallback that did it counts."""
    run = run_of(
        entry("~undo", kind="undo", output="cancelled by ann"),
        entry("each[1]/block~undo/unblock", "failed", error="no answer"),
        entry("page~undo/resolve", "failed", error="503"),
        entry("page~undo/mail"),
    )
    assert [(undo.position, undo.node.key, undo.node.status) for undo in undone(run.nodes)] == [
        ("each[1]/block", "unblock", "failed"),
        ("page", "mail", "done"),
    ]
    assert "undo because: cancelled by ann\nUNDO OF" in told(run)


def test_signal_that_no_gate_has_taken_is_shown() -> None:
    """Whoever answered early sees that it is kept."""
    output = {"outcome": "approved", "by": "ann", "at": "", "reason": "", "data": {"n": 1}}
    run = run_of(entry("~signal[0]", "waiting", "signal", key="approve", output=output))
    assert 'kept for the gate "approve" since 2026-03-01 10:00:00 UTC: approved by ann, with { "n": 1 }' in told(run)


def test_large_values_are_told_by_their_size() -> None:
    """With the command that prints them."""
    text = told(run_of(entry("dump", output=LARGE), status="succeeded", output=LARGE, input={"host": "db"}))
    assert "(12.3 MB, kept apart)" in text
    assert "`resolute runs show run-one --value run.output` prints it" in text
    assert value([1, 2]) == "[ 1, 2 ]"


@pytest.mark.parametrize("whole", [False, True])
def test_long_input_is_cut_after_some_lines(whole: bool) -> None:
    """A page is to be read; `--all` shows all of it."""
    text = told(run_of(input=list(range(100))), whole=whole)
    assert ("and 72 lines more" in text, "  99" in text) == ((False, True) if whole else (True, False))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (entry("copy", "running", heartbeat={"copied": 3}), 'says { "copied": 3 }'),
        (entry("look", "waiting", due_at=LATER, error="503"), "next attempt at 2026-03-01 12:00:00: 503"),
        (entry("subs[0]", "done", "child", output=7), "run run-one/subs[0]: 7"),
        (entry("approve", "done", "gate", output={"outcome": "timed_out"}), "timed out"),
        (entry("poll", "done", "loop", output="2026-03-01T10:00:00"), ""),
    ],
)
def test_each_kind_of_entry_says_what_it_came_to(node: NodeView, text: str) -> None:
    """In the words of its kind."""
    assert came_to(node, "run-one") == text


def test_retries_deadline_and_parent_are_told() -> None:
    """What an operator asks about next."""
    lines = page(run_of(retries=2, deadline_at=LATER, trigger="child:1"), worker=True, parent="top")
    for line in (
        "status:    waiting, retried 2 times",
        "deadline:  2026-03-01 12:00:00 UTC",
        "trigger:   child of top",
    ):
        assert line in lines
