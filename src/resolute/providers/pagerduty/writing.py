"""The PagerDuty activities that change incidents, each of which looks before it repeats what it may have done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from resolute.context import current
from resolute.errors import ProviderRejected
from resolute.model.activity import Node
from resolute.model.reference import Ref
from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.client_changes import is_duplicate, note_content
from resolute.providers.pagerduty.mend import mend_dedup_key
from resolute.providers.pagerduty.outputs import (
    AddNoteOutput,
    CreatedIncident,
    IncidentStatus,
    IncidentUrgency,
    SnoozeIncidentOutput,
    UpdateIncidentOutput,
)
from resolute.providers.pagerduty.payloads import Incident
from resolute.providers.pagerduty.records import Note
from resolute.providers.pagerduty.rest_activity import CLOCKS_DIFFER, P, WriteActivity, account, first_begun

T = TypeVar("T")

#: How far back an open incident of the same key is looked for.
_DUPLICATE_BACK: Final = timedelta(days=180)


class UpdateActivity(WriteActivity[P, T]):
    """Tells at build time of an update that would change nothing."""

    def node_problems(self, node: Node[T], triggers: Sequence[object]) -> Sequence[str]:
        set_up = {name: value for name, value in node.arguments.items() if name not in ("id", "from_email")}
        if any(isinstance(value, Ref) or value not in (None, "", (), []) for value in set_up.values()):
            return ()
        known = ", ".join(name for name in self.parameters if name not in ("id", "from_email"))
        return (f"{self.name} changes nothing. Set one of {known}.",)


@UpdateActivity
async def update_incident(
    *,
    id: str,
    status: IncidentStatus | None = None,
    resolution: str = "",
    title: str = "",
    urgency: IncidentUrgency | None = None,
    priority_id: str = "",
    escalation_level: int | None = None,
    escalation_policy_id: str = "",
    assignee_ids: Sequence[str] = (),
    from_email: str = "",
) -> UpdateIncidentOutput:
    """Change what is given of an incident and nothing else.

    When an earlier attempt may have had its effect and somebody has gone on since, that person's status stays.

    Args:
        status: "acknowledged" or "resolved"; "triggered" or "acknowledged" of a resolved one opens it again.
        resolution: why it is resolved; only with `status="resolved"`.
        escalation_level: of its policy, from 1.
        escalation_policy_id, assignee_ids: who it goes to; at most one of them.
        from_email: the user in whose name this is done; the account's `default_from` by default.

    Source: PagerDuty REST API v2, "Update an incident".
    """
    client = account()
    begun = first_begun(current(), client.now())
    change: dict[str, Any] = {
        "title": title,
        "urgency": urgency,
        "priority_id": priority_id,
        "escalation_level": escalation_level,
        "escalation_policy_id": escalation_policy_id,
        "assignee_ids": assignee_ids,
    }
    if begun is not None and status is not None:
        incident = await client.get_incident(id)
        if _has_moved_on(incident, status, begun):
            if not any(change.values()):
                return UpdateIncidentOutput(incident=incident)
            status, resolution = None, ""
    changed = await client.update_incident(id, status=status, resolution=resolution, from_email=from_email, **change)
    return UpdateIncidentOutput(incident=changed)


def _has_moved_on(incident: Incident, status: IncidentStatus, begun: datetime) -> bool:
    """Whether this status is there, or a person's newer one, so that setting it again would take something back."""
    if status == "resolved":
        return incident.status == "resolved"
    changed = incident.last_status_change_at
    is_since = changed is not None and changed >= begun.replace(microsecond=0)
    return is_since if status == "triggered" else is_since and incident.status != "triggered"


@WriteActivity
async def create_incident(
    *,
    title: str,
    service_id: str,
    urgency: IncidentUrgency | None = None,
    body: str = "",
    incident_key: str = "",
    priority_id: str = "",
    escalation_policy_id: str = "",
    assignee_id: str = "",
    from_email: str = "",
) -> CreatedIncident:
    """Make an incident over REST; for machines `trigger_event` is the way, which is safer and faster.

    Unlike an event this sets the urgency and may name who is notified. An incident of the same key that is
    open on the service is taken for this one: `created` is False in the output then.

    Args:
        service_id: id of a service ("P…"), no routing key.
        incident_key: names the incident, 255 characters; by default one of its own for each run.
        escalation_policy_id, assignee_id: who is notified; at most one of them, the service's policy by default.
        from_email: the user in whose name this is done; the account's `default_from` by default.

    Source: PagerDuty REST API v2, "Create an incident".
    """
    attempt, client = current(), account()
    key, _ = mend_dedup_key(incident_key.strip() or f"resolute/{attempt.idempotency_key}")
    now = client.now()
    begun = first_begun(attempt, now)
    if begun is not None:
        made = await _of_service(client, key, service_id, begun - CLOCKS_DIFFER)
        if made is not None:
            return CreatedIncident(incident=made, incident_key=key, created=False)
    try:
        incident = await client.create_incident(
            title=title,
            service_id=service_id,
            incident_key=key,
            urgency=urgency,
            body=body,
            priority_id=priority_id,
            escalation_policy_id=escalation_policy_id,
            assignee_id=assignee_id,
            from_email=from_email,
        )
    except ProviderRejected as error:
        made = None
        if is_duplicate(error):
            made = await _of_service(client, key, service_id, now - _DUPLICATE_BACK)
        if made is None:
            raise
        return CreatedIncident(incident=made, incident_key=key, created=False)
    return CreatedIncident(incident=incident, incident_key=key)


async def _of_service(client: PagerDutyClient, key: str, service_id: str, since: datetime) -> Incident | None:
    """The newest incident of this key on this service, an open one before all."""
    found = await client.find_incidents(key, since=since, until=client.now() + CLOCKS_DIFFER)
    ours = [each for each in found if each.service is None or each.service.id == service_id.strip()]
    return next((each for each in reversed(ours) if each.status != "resolved"), ours[-1] if ours else None)


@WriteActivity
async def snooze_incident(*, id: str, duration: timedelta, from_email: str = "") -> SnoozeIncidentOutput:
    """Let an acknowledged incident stay so for a time, after which it is triggered again.

    Args:
        duration: one second to seven days, counted from when PagerDuty is asked.
        from_email: the user in whose name this is done; the account's `default_from` by default.

    Source: PagerDuty REST API v2, "Snooze an incident".
    """
    return SnoozeIncidentOutput(incident=await account().snooze_incident(id, duration=duration, from_email=from_email))


@WriteActivity
async def add_note(*, incident_id: str, content: str, from_email: str = "") -> AddNoteOutput:
    """Write a note on an incident, once: a repeated attempt looks first whether an earlier one has written it.

    Args:
        content: cut where it is longer than PagerDuty takes, 65,535 bytes.
        from_email: the user in whose name this is done; the account's `default_from` by default.

    Source: PagerDuty REST API v2, "Create a note on an incident".
    """
    client = account()
    text = note_content(content)
    begun = first_begun(current(), client.now())
    if begun is not None:
        note = await _written(client, incident_id, text, from_email, begun - CLOCKS_DIFFER)
        if note is not None:
            return AddNoteOutput(note_id=note.id, created=False)
    return AddNoteOutput(note_id=(await client.add_note(incident_id, content=text, from_email=from_email)).id)


async def _written(client: PagerDutyClient, incident_id: str, text: str, sender: str, since: datetime) -> Note | None:
    """The note of this text that this sender has written since then."""
    same = [
        note
        for note in await client.list_notes(incident_id)
        if note.content.strip() == text and note.created_at is not None and note.created_at >= since
    ]
    if not same:
        return None
    try:
        author = await client.find_user(client.sender(sender))
    except ProviderRejected:  # a key that may not read users: text and time have to do
        author = None
    return next((note for note in same if author is None or note.user is None or note.user.id == author.id), None)
