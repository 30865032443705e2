"""The drawings as last looked at. After a change that is meant: `python -m tests.properties.drawing.golden`."""

from __future__ import annotations

from pathlib import Path

from resolute.drawing.mermaid import mermaid
from resolute.drawing.reading import graph_of
from resolute.drawing.svg import svg
from resolute.drawing.words import words
from resolute.model.recipe import Flow
from tests.properties.drawing.samples import EVERYTHING, PAGING

FOLDER = Path(__file__).parents[2] / "data" / "drawing"
FLOWS: dict[str, Flow] = {"everything": EVERYTHING, "paging": PAGING}


def drawings(flow: Flow) -> dict[str, str]:
    """Each drawing of a flow by the ending of its file."""
    return {"mmd": mermaid(graph_of(flow)), "svg": svg(flow), "txt": words(flow)}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, flow in FLOWS.items():
        for ending, text in drawings(flow).items():
            (FOLDER / f"{name}.{ending}").write_text(text, encoding="utf-8")
