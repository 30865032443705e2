"""`resolute runs prune`: with and without a worker, what it says, what it refuses, and what is said of pruned runs."""

from __future__ import annotations

import pytest

from tests.acceptance.command import Desk

pytestmark = pytest.mark.acceptance

FLOWS = """
from resolute import activity, flow, manual

@activity
def one() -> int:
    return 1

f = flow("f").triggered_by(manual()).then(one()).build()
g = flow("g").triggered_by(manual()).then(one()).then_gate("go").build()
"""


def fill(desk: Desk, *ids: str) -> None:
    """Runs of `f` under these ids."""
    desk.write("flows.py", FLOWS)
    desk.environ["RESOLUTE_MODULE"] = "flows.py"
    for run_id in ids:
        assert desk("run", "f", "--run-id", run_id).code == 0


@pytest.mark.parametrize("has_worker", [True, False])
def test_prune_keeps_the_newest(resolute: Desk, has_worker: bool) -> None:
    """It says how many went and that the file is used again; what is left is listed, and what went says so and when."""
    fill(resolute, "a", "b", "c")
    if has_worker:
        resolute.start("worker").wait_for_line("the worker is up")
    said = resolute("runs", "prune", "--keep", "1")
    assert said.out.startswith("Pruned 2 runs: beyond the newest 1 finished ones of each flow.\n")
    assert "are used again before it grows" in said.out
    assert [run["id"] for run in resolute("runs", "list", "--json").json] == ["c"]
    shown = resolute("runs", "show", "a")
    assert (shown.code, shown.out) == (1, "")
    assert 'Run "a" has succeeded on ' in shown.err
    assert " and was pruned on " in shown.err


def test_what_would_be_pruned_is_counted_and_left(resolute: Desk) -> None:
    """--dry-run; an unfinished run is none of it."""
    fill(resolute, "a", "b")
    assert resolute("run", "g", "--run-id", "g", "--wait", "0.3").code == 1
    said = resolute("runs", "prune", "--older-than", "0s", "--dry-run", "--json").json
    assert (said["runs"], said["dry_run"], said["freed_bytes"]) == (2, True, 0)
    assert len(resolute("runs", "list", "--json").json) == 3
    assert resolute("runs", "prune", "--older-than", "0s", "--flow", "g", "--json").json["runs"] == 0
    assert resolute("runs", "prune", "--older-than", "0s", "--json").json["runs"] == 2
    assert [run["id"] for run in resolute("runs", "list", "--json").json] == ["g"]


def test_settings_say_what_goes_when_nothing_else_does(resolute: Desk) -> None:
    """As a worker does it by itself; where they keep all, the command asks."""
    fill(resolute, "a", "b")
    assert resolute("runs", "prune", "--json").json["runs"] == 0
    assert resolute("runs", "prune", "--json", RESOLUTE_KEEP_RUNS="1").json["runs"] == 1
    said = resolute("runs", "prune", RESOLUTE_KEEP_DAYS="0")
    assert said.code == 2
    assert "Say --older-than 30d" in said.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--older-than", "30"], "Write a number and s, min, h, d or w: 30d"),
        (["--older-than", "2 months"], "is no length of time"),
        (["--older-than", "1000000w"], "is longer than 36,500 days"),
        (["--keep", "-1"], "--keep"),
    ],
)
def test_what_cannot_be_meant_is_refused(resolute: Desk, options: list[str], told: str) -> None:
    """With what to write, and before anything is looked at."""
    said = resolute("runs", "prune", *options)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


@pytest.mark.parametrize("text", ["many", "-1", "nan", "1e9"])
def test_setting_that_is_no_number_names_its_source(resolute: Desk, text: str) -> None:
    """The variable, what stands there, and what it means."""
    said = resolute("runs", "prune", RESOLUTE_KEEP_DAYS=text)
    assert said.code == 2
    assert f"RESOLUTE_KEEP_DAYS: keep_days is '{text}', expected a number from 0 to 36,500, such as 90." in said.err


def test_run_of_a_pruned_id_is_not_run_again(resolute: Desk) -> None:
    """The same input is told that its output is gone, another one that the id is taken."""
    fill(resolute, "a")
    resolute("runs", "prune", "--keep", "0")
    again = resolute("run", "f", "--run-id", "a")
    assert (again.code, again.out) == (1, "")
    assert "its journal and output are gone" in again.err
    assert resolute("run", "f", "--run-id", "a", "-i", "x=1").code == 2
    assert resolute("runs", "list", "--json").json == []


def test_vacuum_needs_the_store_for_itself(resolute: Desk) -> None:
    """With a worker nothing is changed, without one the file is smaller afterwards."""
    fill(resolute, "a")
    worker = resolute.start("worker")
    worker.wait_for_line("the worker is up")
    said = resolute("runs", "prune", "--keep", "0", "--vacuum")
    assert said.code == 3
    assert "Stop the worker first" in said.err
    assert len(resolute("runs", "list", "--json").json) == 1
    worker.process.terminate()
    worker.end()
    said = resolute("runs", "prune", "--keep", "0", "--vacuum", "--json")
    assert (said.json["runs"], said.json["vacuumed"], said.json["free_bytes"]) == (1, True, 0)
    assert resolute.store.stat().st_size == said.json["file_bytes"]


def test_store_that_is_not_there_is_not_made(resolute: Desk) -> None:
    """Exit code 3, as of every command that reads."""
    said = resolute("runs", "prune", "--keep", "0")
    assert said.code == 3
    assert "There is no store" in said.err
    assert not resolute.store.exists()
