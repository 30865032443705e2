"""What `--json` prints of a run and of a row of the incident log: the names that programs may rely on."""

from __future__ import annotations

from typing import Any

from resolute.engine import RunView
from resolute.engines.embedded.socket import view_to_json
from resolute.ledger.row import Row


def run_json(run: RunView, *, with_nodes: bool) -> dict[str, Any]:
    """A run with its fields as `RunView` has them, times in ISO 8601."""
    plain: Any = view_to_json(run)
    return {name: value for name, value in plain.items() if with_nodes or name != "nodes"}


def incident_json(row: Row) -> dict[str, Any]:
    """A row of the incident log. No key is in it: `service_key` is masked."""
    return {
        "id": row.id,
        "created_at": row.created_at,
        "action": row.action,
        "status": row.status,
        "title": row.title,
        "urgency": row.urgency,
        "body": row.body,
        "dedup_key": row.dedup_key,
        "service_key": row.service_key,
        "attempts": row.attempts,
        "remarks": list(row.remarks),
        "message": row.message,
        "response_status": row.response_status,
        "error_message": row.error_message,
        "run_id": row.run_id,
        "flow": row.flow,
        "position": row.position,
        "service": row.service,
        "instance": row.instance,
        "sent_at": row.sent_at,
        "due_at": row.due_at,
        "settled_at": row.settled_at,
        "is_open": row.is_open,
        "folded_into": row.folded_into,
        "superseded_by": row.superseded_by,
        "may_repeat": row.may_repeat,
        "late_s": row.late_s,
        "event": row.event,
    }
