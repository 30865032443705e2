"""Rows for tests: as plain as they can be, with what a test names changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from resolute.engines.embedded.store import Entry, RunRow
from resolute.ledger.row import Row

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)


def run(no: int, **fields: Any) -> RunRow:
    values: dict[str, Any] = {
        "id": f"run{no}", "flow": "disk", "fingerprint": "f1", "status": "running", "input": "null",
        "input_digest": "d", "trigger": "manual", "created_at": NOW,
    }  # fmt: skip
    return RunRow(no=no, **(values | fields))


def entry(run_no: int, order: int, **fields: Any) -> Entry:
    values: dict[str, Any] = {
        "position": f"step{order}", "kind": "node", "key": "step", "status": "running", "ready_at": NOW,
    }  # fmt: skip
    return Entry(run_no=run_no, order=order, **(values | fields))


def row(id: int, **fields: Any) -> Row:
    values: dict[str, Any] = {
        "idempotency_key": f"run1/page{id}", "run_no": 1, "run_id": "run1", "position": "page", "flow": "disk",
        "scheduled": False, "service": "pagerduty", "instance": "", "lane": "l", "host_key": "h", "action": "trigger",
        "dedup_key": "disk-full", "title": "Disk full", "urgency": "high", "body": "", "event": {"a": 1},
        "payload_digest": "p", "key_secret": "", "service_key": "•••• abcd", "key_digest": "k",
        "created_at": NOW, "since": NOW,
    }  # fmt: skip
    return Row(id=id, **(values | fields))
