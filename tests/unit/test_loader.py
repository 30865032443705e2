"""`load`: the flows, providers and worker in a module that a person names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolute.errors import ConfigError
from resolute.loader import load

FLOW = """
from resolute import activity, flow, manual
@activity
def nothing() -> None: ...
first = flow("first").triggered_by(manual()).then(nothing()).build()
again = first
"""
PROVIDER = """
from resolute.providers import pagerduty
account = pagerduty.PagerDutyProvider()
same = account
eu = pagerduty.PagerDutyProvider(name="eu")
"""
WORKER = """
from resolute import Worker
worker = Worker(flows=[first])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("name", ["flows_a.py", "ops/flows_a.py", "flows_a", "ops.flows_a"])
def test_file_or_dotted_module_is_found(folder: Path, name: str) -> None:
    """Relative to the folder, whether or not it is on Python's path."""
    path = name if name.endswith(".py") else name.replace(".", "/") + ".py"
    write(folder, path, FLOW)
    assert [flow.name for flow in load(name, folder).flows] == ["first"]


def test_flows_that_are_started_by_others_are_found(folder: Path) -> None:
    """They need not stand at the top level themselves, nor count twice if they do."""
    write(
        folder,
        "kin.py",
        FLOW
        + """
def make():
    child = flow("child").triggered_by(manual()).then(nothing()).build()
    return flow("parent").triggered_by(manual()).then_children("c", child, inputs=[]).build()
parent = make()
top = flow("top").triggered_by(manual()).then_children("c", first, inputs=[]).build()
""",
    )
    found = load("kin.py", folder)
    assert [flow.name for flow in found.flows] == ["first", "parent", "top", "child"]
    assert [flow.name for flow in found.as_worker().flows] == ["first", "parent", "top", "child"]


def test_everything_at_the_top_level_counts_once(folder: Path) -> None:
    """Flows, providers and the worker, under however many names."""
    write(folder, "whole.py", FLOW + PROVIDER + WORKER)
    found = load("whole.py", folder)
    assert found.worker is found.as_worker()
    assert [provider.name for provider in found.providers] == ["", "eu"]


def test_without_a_worker_one_is_made_of_what_is_there(folder: Path) -> None:
    """A file of flows is enough for `resolute worker`."""
    write(folder, "parts.py", FLOW + PROVIDER)
    worker = load("parts.py", folder).as_worker()
    assert [flow.name for flow in worker.flows] == ["first"]
    assert [provider.name for provider in worker.providers] == ["", "eu"]


def test_file_may_have_the_name_of_a_module_that_others_need(folder: Path) -> None:
    """A file called secrets.py does not break Python's own `secrets`."""
    import secrets

    write(folder, "secrets.py", FLOW)
    assert load("secrets.py", folder).flows
    assert sys.modules["secrets"] is secrets


def test_file_finds_its_neighbours(folder: Path) -> None:
    """A flow file imports what lies beside it."""
    write(folder, "ops/beside.py", FLOW)
    write(folder, "ops/flows_b.py", "from beside import first\n")
    assert load("ops/flows_b.py", folder).flows


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1 +\n", "line 1, is no Python"),
        ("x = 1\nraise ValueError('boom')\n", r"ValueError: boom\. See line 2 of .*faulty\.py"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("import nothing_of_that_name\n", "imports nothing_of_that_name, which is not installed"),
        ("from resolute import flow\nf = flow('f').build()\n", r"See line 2 of .*faulty\.py.*Flow \"f\""),
    ],
)
def test_module_with_a_fault_names_file_and_line(folder: Path, text: str, told: str) -> None:
    """The line of the person's own file, not one of ours."""
    write(folder, "faulty.py", text)
    with pytest.raises(ConfigError, match=f"(?s){told}") as caught:
        load("faulty.py", folder)
    assert "faulty.py" in str(caught.value)


@pytest.mark.parametrize("name", ["none.py", "none", "ops.none", "ops/none.py"])
def test_module_that_is_not_there_is_told(folder: Path, name: str) -> None:
    """With what could be given instead."""
    (folder / "ops").mkdir()
    with pytest.raises(ConfigError, match=r"There is no (file|module)"):
        load(name, folder)


def test_module_without_flows_cannot_make_a_worker(folder: Path) -> None:
    """The message shows a flow."""
    write(folder, "empty.py", "x = 1\n")
    with pytest.raises(ConfigError, match=r"holds neither a Worker nor a flow"):
        load("empty.py", folder).as_worker()


def test_two_workers_are_one_too_many(folder: Path) -> None:
    """It could not be told which is meant."""
    write(folder, "two.py", FLOW + WORKER + "other = Worker(flows=[first])\n")
    with pytest.raises(ConfigError, match="holds 2 workers"):
        load("two.py", folder)
