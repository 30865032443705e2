"""What a REST update asks of an incident: read and checked as a whole first, then applied.

Source: PagerDuty REST API v2, "Update an incident"; error texts from users' reports, else ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.incidents import Agent, Incident, Status
from resolute.simulator.pagerduty.refusals import Refused, invalid_input, needs_ability
from resolute.simulator.pagerduty.resources import Priority, Urgency
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.world import World

STATUSES = ("triggered", "acknowledged", "resolved")
URGENCIES = ("high", "low")
TITLE_CHARACTERS = 1024
_UPDATABLE = frozenset(
    {
        "id",
        "type",
        "status",
        "resolution",
        "title",
        "urgency",
        "priority",
        "escalation_level",
        "assignments",
        "escalation_policy",
        "service",
        "incident_type",
        "conference_bridge",
    }
)


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """A checked update of one incident; None leaves a field as it is."""

    incident: Incident
    status: Status | None
    resolution: str | None
    title: str | None
    urgency: Urgency | None
    priority_id: str | None
    level: int | None
    user_ids: tuple[str, ...] | None
    policy_id: str | None
    service_id: str | None
    incident_type: str | None
    conference_bridge: dict[str, str] | None

    def apply(self, call: RestCall, book: IncidentBook, by: Agent) -> None:
        """Make the change; only what differs is changed and logged.

        Raises:
            Refused: 1001 or 1002 when the incident has that status already and the rules make that an error.
        """
        incident, life, now = self.incident, book.life, call.now
        repeated = self.status == incident.status
        fields = {"title": self.title, "priority_id": self.priority_id, "incident_type": self.incident_type}
        for name, value in (fields | {"conference_bridge": self.conference_bridge}).items():
            if value is not None and value != getattr(incident, name):
                life.set_field(incident, name, value, by, now)
        if self.urgency is not None:
            life.set_urgency(incident, self.urgency, by, now, "api")
        if self.service_id not in (None, incident.service_id):
            life.move(incident, self.service_id, by, now, "api")
        if incident.status != "resolved":
            self._hand_over(book, by, now)
        if self.status is not None:
            book.set_status(incident, self.status, by, now, channel="api", note=self.resolution)
            if repeated and call.rules.repeats_are_errors:
                _refuse_repeated(self.status)

    def _hand_over(self, book: IncidentBook, by: Agent, now: datetime) -> None:
        incident = self.incident
        if self.policy_id not in (None, incident.policy_id):
            book.life.delegate(incident, self.policy_id, by, now, "api")
        if self.level not in (None, incident.level):
            book.life.escalate(incident, self.level, by, now, "api")
        if self.user_ids is not None and set(self.user_ids) != {user_id for user_id, _ in incident.assignments}:
            book.life.reassign(incident, self.user_ids, by, now, "api")


def read_change(call: RestCall, incident: Incident, change: dict[str, Any]) -> IncidentChange:
    """The update that an `incident` object asks for.

    Raises:
        Refused: 400, or 402 for a priority that the account's plan does not allow.
    """
    if change.get("type") not in ("incident", "incident_reference"):
        raise invalid_input("Type must be incident or incident_reference.")
    if "status" in change and change["status"] not in STATUSES:
        raise Refused(400, 1003, "Invalid Status Provided")
    if "urgency" in change and change["urgency"] not in URGENCIES:
        raise invalid_input("Urgency must be high or low.")
    resolution = change.get("resolution")
    if resolution is not None and not isinstance(resolution, str):
        raise invalid_input("Resolution must be a string.")
    if resolution is not None and change.get("status", incident.status) != "resolved":
        raise invalid_input("Resolution can only be given with status resolved.")
    if unknown := sorted(set(change) - _UPDATABLE):
        call.remark(f"fields that cannot be updated are ignored: {', '.join(unknown)}")
    policy_id = read_reference(change, "escalation_policy", call.world.policies)
    return IncidentChange(
        incident=incident,
        status=change.get("status"),
        resolution=resolution,
        title=read_title(change) if "title" in change else None,
        urgency=change.get("urgency"),
        priority_id=read_priority(call.world, change),
        level=_level(call, change, policy_id or incident.policy_id),
        user_ids=read_assignees(call.world, change),
        policy_id=policy_id,
        service_id=read_reference(change, "service", call.world.services),
        incident_type=read_type(change),
        conference_bridge=read_bridge(change),
    )


def read_title(change: dict[str, Any]) -> str:
    """The title, never empty."""
    title = change.get("title")
    if not isinstance(title, str) or not title.strip():
        raise invalid_input("Title cannot be empty.")
    if len(title) > TITLE_CHARACTERS:
        raise invalid_input(f"Title is too long (maximum is {TITLE_CHARACTERS} characters).")
    return title


def read_priority(world: World, change: dict[str, Any]) -> str | None:
    """Id of the priority, given as an object with its id or as its name; None when none is given."""
    if "priority" not in change:
        return None
    wanted = change["priority"]
    key = wanted.get("id") if isinstance(wanted, dict) else wanted
    if not isinstance(key, str) or not key:
        raise invalid_input("Priority id cannot be empty.")
    if "priorities" not in world.abilities:
        raise needs_ability("priorities")
    found: Priority | None = world.priorities.get(key)
    if found is None and isinstance(wanted, str):
        found = next((each for each in world.priorities.values() if each.name == wanted), None)
    if found is None:
        raise Refused(400, 1020, "Invalid Priority Provided", "Priority not found")
    return found.id


def read_reference(change: dict[str, Any], name: str, known: dict[str, Any]) -> str | None:
    """The id in `change[name]`, which has to be a known one; None when it is not given."""
    if name not in change:
        return None
    reference = change[name]
    id_ = reference.get("id") if isinstance(reference, dict) else None
    label = name.replace("_", " ").capitalize()
    if not isinstance(id_, str) or id_ not in known:
        raise invalid_input(f"{label} not found", code=2002)
    return id_


def read_assignees(world: World, change: dict[str, Any]) -> tuple[str, ...] | None:
    """Ids of the users it is to be assigned to; None when none are given."""
    assignments = change.get("assignments")
    if not assignments:
        return None
    if not isinstance(assignments, list) or not all(isinstance(each, dict) for each in assignments):
        raise invalid_input("Assignments must be a list of objects.")
    found = [read_reference(each, "assignee", world.users) for each in assignments]
    if None in found:
        raise invalid_input("Assignee not found", code=2002)
    return tuple(dict.fromkeys(cast(list[str], found)))


def read_type(change: dict[str, Any]) -> str | None:
    """Name of the incident type; None when none is given."""
    wanted = change.get("incident_type")
    if wanted is None:
        return None
    name = wanted.get("name") or wanted.get("id") if isinstance(wanted, dict) else None
    if not isinstance(name, str):
        raise invalid_input("Incident type must have a name.")
    return name


def read_bridge(change: dict[str, Any]) -> dict[str, str] | None:
    """Number and address of the conference; None when neither is given."""
    wanted = change.get("conference_bridge")
    if wanted is None:
        return None
    names = ("conference_number", "conference_url")
    if not isinstance(wanted, dict) or not all(isinstance(wanted.get(name, ""), str) for name in names):
        raise invalid_input("Conference bridge must be an object with conference_number and conference_url.")
    return {name: wanted[name] for name in names if name in wanted}


def _level(call: RestCall, change: dict[str, Any], policy_id: str) -> int | None:
    level = change.get("escalation_level")
    if level is None:
        return None
    if isinstance(level, bool) or not isinstance(level, int):
        raise invalid_input("Escalation level must be a number.")
    if not 1 <= level <= len(call.world.policies[policy_id].levels):
        raise invalid_input("Escalation level is not one of the escalation policy.")
    return level


def _refuse_repeated(status: Status) -> None:
    if status == "resolved":
        raise Refused(400, 1001, "Incident Already Resolved")
    if status == "acknowledged":
        raise Refused(400, 1002, "Incident Already Acknowledged")
