"""Drawings kept as files: a change of what they show is seen in the diff."""

from __future__ import annotations

import pytest

from tests.properties.drawing.golden import FLOWS, FOLDER, drawings


@pytest.mark.parametrize("ending", ["mmd", "svg", "txt"])
@pytest.mark.parametrize("name", FLOWS)
def test_drawing_is_as_it_was_last_looked_at(name: str, ending: str) -> None:
    """If it should differ: look at the new one, then `python -m tests.properties.drawing.golden`."""
    kept = (FOLDER / f"{name}.{ending}").read_text(encoding="utf-8")
    assert drawings(FLOWS[name])[ending] == kept
