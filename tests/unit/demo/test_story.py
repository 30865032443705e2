"""The demo judges itself, shows the flow that it runs, and keeps the user's own settings out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from resolute.demo import flow
from resolute.demo.stage import clean_environment
from resolute.demo.story import EXPECTED, Ending, flow_file, flow_text
from resolute.demo.tally import Tally

ENDING = Ending(
    folder=Path("/tmp/resolute-demo-1"),
    store="sqlite:////tmp/resolute-demo-1/resolute.db",
    simulator_url="http://127.0.0.1:1",
    shop_url="http://127.0.0.1:2",
    lines=(),
    on_call="Ada Moreno",
    rows=(),
    requests=(),
    tally=EXPECTED,
    commands=(),
    checking="",
)


def test_a_story_that_came_out_as_it_must_is_no_problem() -> None:
    """Nothing to say."""
    assert ENDING.problem == ""


@pytest.mark.parametrize(
    "tally",
    [
        replace(EXPECTED, lost=1),
        replace(EXPECTED, twice=1),
        replace(EXPECTED, incidents=2),
        replace(EXPECTED, kills=0),
        replace(EXPECTED, requests=4),
        replace(EXPECTED, pages=0),
    ],
)
def test_a_story_that_came_out_otherwise_is_told(tally: Tally) -> None:
    """The command ends with exit code 1 and says what was counted, what was expected and where the records are."""
    problem = replace(ENDING, tally=tally).problem
    assert str(tally) in problem
    assert str(EXPECTED) in problem
    assert str(ENDING.folder) in problem


def test_a_story_in_which_nobody_was_named_is_told() -> None:
    """Who is on call belongs to it."""
    assert "on call" in replace(ENDING, on_call="").problem


def test_the_flow_is_shown_as_it_stands_in_its_file() -> None:
    """Not a copy of it: what is printed is read from the module that is run."""
    assert Path(flow.__file__) == flow_file()
    assert flow_text() in flow_file().read_text(encoding="utf-8")
    assert flow_text().startswith("watch_shop = (")
    assert flow_text().endswith(".build()\n)")


def test_environment_of_the_worker_holds_nothing_of_the_users_own() -> None:
    """No key, no store, no proxy; relative import paths still lead where they led."""
    kept = clean_environment(
        {
            "PAGERDUTY_API_KEY": "k",
            "PAGERDUTY_SERVICE_KEY_FILE": "k",
            "RESOLUTE_STORE": "s",
            "https_proxy": "p",
            "HTTP_PROXY": "p",
            "HOME": "/home/me",
            "PYTHONPATH": f"src{os.pathsep}{os.pathsep}/opt/lib",
        }
    )
    assert kept == {"HOME": "/home/me", "PYTHONPATH": f"{Path('src').absolute()}{os.pathsep}/opt/lib"}
