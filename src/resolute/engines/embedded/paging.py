"""From a paging node's intent to its row in the incident log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from resolute.engines.embedded.core import Core
from resolute.engines.embedded.store import RunRow
from resolute.errors import ConfigError
from resolute.ledger.incident_log import KeyGone
from resolute.ledger.intent import Intent, PagingActivity, Preparation
from resolute.ledger.row import Row, lane_of, payload_digest
from resolute.model.activity import Activity, Node
from resolute.secrets import digest, mask

#: How long paging nodes go on unless their Retry says otherwise.
DEADLINE_S = 86400.0


def prepare(
    node: Node[Any],
    run: RunRow,
    position: str,
    values: Mapping[str, Any],
    secrets: Mapping[str, str],
    remarks: tuple[str, ...],
) -> Intent:
    """The node's intent; raises InputError when it has nothing to be sent under."""
    preparation = Preparation(run.id, position, run.flow, node.instance or "", remarks, dict(secrets))
    return paging(node.activity).prepare(values, preparation)


def paging(activity: Activity[Any, Any]) -> PagingActivity[Any, Any]:
    """The activity as one that pages."""
    if not isinstance(activity, PagingActivity):
        raise TypeError(f"{activity!r} says it pages, but is no PagingActivity")
    return activity


def new_row(core: Core, row_id: int, node: Node[Any], intent: Intent, run: RunRow, position: str, now: datetime) -> Row:
    """The row of a new send; the routing key is kept as mask and digest only."""
    service, instance = node.activity.provider or "", node.instance or ""
    host = core.paging_service(service, instance).host
    retry = node.retry or node.activity.retry
    try:
        key = core.key_for(intent.key_secret, run.id, service, instance)
        service_key, key_digest = mask(key), digest(key, core.digest_key)
    except (ConfigError, KeyGone):
        service_key, key_digest = "", digest(f"name:{intent.key_secret}", core.digest_key)
    deadline_s = retry.deadline.total_seconds() if retry.deadline is not None else DEADLINE_S
    return Row(
        id=row_id,
        idempotency_key=f"{run.id}/{position}",
        run_no=run.no,
        run_id=run.id,
        position=position,
        flow=run.flow,
        scheduled=run.scheduled,
        service=service,
        instance=instance,
        lane=lane_of(host, key_digest, intent.dedup_key),
        host_key=f"{host}|{key_digest}",
        action=intent.action,
        dedup_key=intent.dedup_key,
        title=intent.title,
        urgency=intent.urgency,
        body=intent.body,
        event=intent.event,
        payload_digest=payload_digest(intent.event),
        key_secret=intent.key_secret,
        service_key=service_key,
        key_digest=key_digest,
        created_at=now,
        since=now,
        deadline_s=intent.wait_s if intent.wait_s is not None else deadline_s,
        retry=(
            retry.initial.total_seconds(),
            retry.coefficient,
            retry.maximum.total_seconds(),
            retry.jitter,
            retry.attempts,
        ),
        remarks=intent.remarks,
        status="rejected" if intent.refusal else "pending",
        message=intent.refusal,
        error_message=intent.refusal,
        settled_at=now if intent.refusal else None,
    )
