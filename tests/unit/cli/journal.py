"""Journals for tests: entries and runs in a line each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from resolute.engine import NodeView, RunView

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def entry(position: str, status: str = "done", kind: str = "node", **fields: Any) -> NodeView:
    """An entry; its key is the end of its position."""
    key = position.rpartition("/")[2].partition("[")[0]
    return NodeView(position, kind, fields.pop("key", key), status, **{"ready_at": START, **fields})


def run_of(*nodes: NodeView, **fields: Any) -> RunView:
    """A waiting run with this journal."""
    given = {"id": "run-one", "flow": "paging", "status": "waiting", "trigger": "manual", "created_at": START}
    return RunView(**{**given, **fields}, nodes=nodes)
