"""Recorded runs replay under today's code; one that a changed flow would misexecute is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolute import Flow
from resolute.secrets import Secrets
from tests.integration.temporal import flows

pytest.importorskip("temporalio", reason="needs the extra temporal: make install")

FOLDER = Path(__file__).parent / "histories"
HISTORIES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.json"))}


def today() -> list[Flow]:
    return [flows.small_steps(), flows.paging(), flows.failing(), flows.child()]


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_recorded_run_replays(name: str) -> None:
    """Step by step, with the decisions it made then."""
    from resolute.engines.temporal.replay import replay

    assert await replay(today(), name, HISTORIES[name], Secrets({})) == ""


async def test_a_changed_flow_is_noticed() -> None:
    """A node in the place of another is told of, and nothing of the run is executed."""
    from resolute.engines.temporal.replay import replay

    told = await replay([flows.paging_changed()], "paging", HISTORIES["paging"], Secrets({}))
    assert "paging" in told
    assert "ask" in told
