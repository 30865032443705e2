"""`IncidentChanges`: incidents made, changed, snoozed and annotated over REST, always in the name of a user."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from resolute.errors import InputError, ProviderRejected
from resolute.jsontypes import JsonObject, JsonValue
from resolute.providers.pagerduty.outputs import IncidentStatus, IncidentUrgency
from resolute.providers.pagerduty.params import id_in_path, read_row
from resolute.providers.pagerduty.payloads import Incident
from resolute.providers.pagerduty.plain import mend_text
from resolute.providers.pagerduty.records import Note
from resolute.providers.pagerduty.requests import Requests, object_in

#: "Incident already resolved" and "already acknowledged": the change was there before.
ALREADY_THERE: Final = frozenset({1001, 1002})
LONGEST_SNOOZE: Final = timedelta(days=7)
# Source: PagerDuty support, "Notes": about 65,535 single-byte characters each.
NOTE_BYTES: Final = 65_535


class IncidentChanges(Requests):
    """Requests that change incidents.

    All of them carry `From`: `from_email`, else the account's `default_from`.

    Raises:
        InputError: what PagerDuty would refuse, told before anything is sent.
        ConfigError: there is no API key, or no address for `From`.
        ProviderRejected: PagerDuty refused it; repeating cannot help.
        ProviderUnavailable: nothing was done; `retry_after` when PagerDuty named a time.
        ProviderOutcomeUnknown: sent, but no answer that can be trusted: look before it is repeated.
    """

    async def update_incident(
        self,
        id: str,
        *,
        status: IncidentStatus | None = None,
        resolution: str = "",
        title: str = "",
        urgency: IncidentUrgency | None = None,
        priority_id: str = "",
        escalation_level: int | None = None,
        escalation_policy_id: str = "",
        assignee_ids: Sequence[str] = (),
        from_email: str = "",
    ) -> Incident:
        """Change what is given and nothing else; the incident as PagerDuty has it then.

        An incident that is acknowledged or resolved already is answered as it is: the change is there.

        Source: PagerDuty REST API v2, "Update an incident".
        """
        change = changes_of(
            status=status,
            resolution=resolution,
            title=title,
            urgency=urgency,
            priority_id=priority_id,
            escalation_level=escalation_level,
            escalation_policy_id=escalation_policy_id,
            assignee_ids=assignee_ids,
        )
        path = f"/incidents/{id_in_path(id)}"
        body: JsonObject = {"incident": {"type": "incident_reference", **change}}
        try:
            data = await self._write("PUT", path, body, sender=self.sender(from_email))
        except ProviderRejected as error:
            if error.code not in ALREADY_THERE or set(change) - {"status", "resolution"}:
                raise
            data = await self._get(path)
        return read_row(Incident, object_in(data, "incident", f"PUT {path}"), f"PUT {path}")

    async def create_incident(
        self,
        *,
        title: str,
        service_id: str,
        incident_key: str,
        urgency: IncidentUrgency | None = None,
        body: str = "",
        priority_id: str = "",
        escalation_policy_id: str = "",
        assignee_id: str = "",
        from_email: str = "",
    ) -> Incident:
        """Make an incident; unlike an event it sets the urgency, notifies whom it names, and has no alert.

        Args:
            incident_key: what makes a repeat safe: a second open incident of one key on a service is refused,
                see `is_duplicate`.
            escalation_policy_id, assignee_id: at most one of them; the service's policy by default.

        Source: PagerDuty REST API v2, "Create an incident".
        """
        if not title.strip():
            raise InputError("title is empty, expected what shall appear in PagerDuty. Give a title.")
        if not incident_key.strip():
            raise InputError("incident_key is empty; without one a repeated request would make a second incident.")
        if escalation_policy_id.strip() and assignee_id.strip():
            raise InputError("escalation_policy_id and assignee_id exclude each other. Give one of them.")
        if not service_id.strip():
            raise InputError("service_id is empty, expected the id of a service (P...). list_services tells them.")
        incident: JsonObject = {
            "type": "incident",
            "title": mend_text(title.strip()),
            "service": reference(service_id, "service"),
            "incident_key": mend_text(incident_key.strip()),
        }
        if urgency:
            incident["urgency"] = urgency
        if body.strip():
            incident["body"] = {"type": "incident_body", "details": mend_text(body)}
        if priority_id.strip():
            incident["priority"] = reference(priority_id, "priority")
        if escalation_policy_id.strip():
            incident["escalation_policy"] = reference(escalation_policy_id, "escalation_policy")
        if assignee_id.strip():
            incident["assignments"] = [{"assignee": reference(assignee_id, "user")}]
        data = await self._write("POST", "/incidents", {"incident": incident}, sender=self.sender(from_email))
        return read_row(Incident, object_in(data, "incident", "POST /incidents"), "POST /incidents")

    async def snooze_incident(self, id: str, *, duration: timedelta, from_email: str = "") -> Incident:
        """Let an acknowledged incident stay so for a time, after which it is triggered again.

        Args:
            duration: a second to seven days.

        Source: PagerDuty REST API v2, "Snooze an incident".
        """
        seconds = int(duration.total_seconds())
        if not 1 <= seconds <= LONGEST_SNOOZE.total_seconds():
            raise InputError(f"duration is {duration}, expected one second to {LONGEST_SNOOZE.days} days.")
        path = f"/incidents/{id_in_path(id)}/snooze"
        data = await self._write("POST", path, {"duration": seconds}, sender=self.sender(from_email))
        return read_row(Incident, object_in(data, "incident", f"POST {path}"), f"POST {path}")

    async def add_note(self, incident_id: str, *, content: str, from_email: str = "") -> Note:
        """Write a note. It is not idempotent: sent twice, it stands there twice.

        Args:
            content: cut where it is longer than PagerDuty takes.

        Source: PagerDuty REST API v2, "Create a note on an incident".
        """
        path = f"/incidents/{id_in_path(incident_id, 'incident_id')}/notes"
        body: JsonObject = {"note": {"content": note_content(content)}}
        data = await self._write("POST", path, body, sender=self.sender(from_email))
        return read_row(Note, object_in(data, "note", f"POST {path}"), f"POST {path}")


def note_content(content: str) -> str:
    """The note as it is sent, which is what a look-up compares; raises InputError for one with nothing in it."""
    text = mend_text(content).strip()
    if not text:
        raise InputError("content is empty, expected the text of the note. Give a text.")
    whole = text.encode()
    if len(whole) <= NOTE_BYTES:
        return text
    mark = " … (cut)"
    return whole[: NOTE_BYTES - len(mark.encode())].decode(errors="ignore") + mark


def changes_of(
    *,
    status: IncidentStatus | None = None,
    resolution: str = "",
    title: str = "",
    urgency: IncidentUrgency | None = None,
    priority_id: str = "",
    escalation_level: int | None = None,
    escalation_policy_id: str = "",
    assignee_ids: Sequence[str] = (),
) -> JsonObject:
    """The fields of an update that were set; raises InputError when there is none, or they do not go together."""
    if resolution.strip() and status != "resolved":
        raise InputError('resolution goes with status="resolved" alone. Set that, or leave resolution out.')
    if escalation_policy_id.strip() and assignee_ids:
        raise InputError("escalation_policy_id and assignee_ids exclude each other. Give one of them.")
    if escalation_level is not None and escalation_level < 1:
        raise InputError(f"escalation_level is {escalation_level}, expected 1 or more.")
    assignees: list[JsonValue] = [{"assignee": reference(each, "user")} for each in assignee_ids]
    fields: dict[str, JsonValue] = {
        "status": status,
        "resolution": mend_text(resolution).strip(),
        "title": mend_text(title).strip(),
        "urgency": urgency,
        "priority": reference(priority_id, "priority") if priority_id.strip() else None,
        "escalation_level": escalation_level,
        "escalation_policy": (
            reference(escalation_policy_id, "escalation_policy") if escalation_policy_id.strip() else None
        ),
        "assignments": assignees,
    }
    change: JsonObject = {name: value for name, value in fields.items() if value}
    if not change:
        raise InputError(
            "update_incident has nothing to change: no status, title, urgency, priority_id, escalation_level, "
            "escalation_policy_id or assignee_ids is set. Set one of them."
        )
    return change


def is_duplicate(error: ProviderRejected) -> bool:
    """Whether an incident was refused because an open one of the same key is there."""
    words = " ".join((str(error), *error.errors)).casefold()
    return error.status == 400 and "already exists" in words and ("dedup" in words or "incident_key" in words)


def reference(id: str, kind: str) -> JsonObject:
    """An object of PagerDuty by its id; raises InputError for an empty one."""
    if not isinstance(id, str) or not id.strip():
        raise InputError(f"The id of a {kind} is empty, expected something like P1ABCDE. Give the id.")
    return {"id": id.strip(), "type": f"{kind}_reference"}
