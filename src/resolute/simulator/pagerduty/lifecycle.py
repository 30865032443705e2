"""The life of one incident: every change to it, each logged, announced and with the timers it starts or stops.

`IncidentBook` decides what happens; here it happens. Nothing here knows HTTP.

Source: PagerDuty support, "Incidents", "Escalation Policies" and "Configurable Service Settings".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from resolute.simulator.pagerduty.history import History
from resolute.simulator.pagerduty.ids import Ids
from resolute.simulator.pagerduty.incidents import Agent, Incident, LogEntry, Note, Status
from resolute.simulator.pagerduty.resources import Urgency
from resolute.simulator.pagerduty.rota import first_level, responders_of
from resolute.simulator.pagerduty.timers import KINDS, TimerKind, Timers
from resolute.simulator.pagerduty.world import World


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that webhooks tell: `event_type` as PagerDuty names it; `note` is the one just written."""

    event_type: str
    incident: Incident
    at: datetime
    agent: Agent
    channel: str
    note: Note | None = None


class Lifecycle:
    """Changes incidents. `listeners` hear of each change that PagerDuty would announce."""

    def __init__(self, world: World, ids: Ids, history: History, timers: Timers) -> None:
        self._world = world
        self._ids = ids
        self._history = history
        self._timers = timers
        self.listeners: list[Callable[[Announcement], None]] = []

    # --- status -----------------------------------------------------------------------------

    def begin(self, incident: Incident, by: Agent, at: datetime, channel: str) -> None:
        """A new incident is triggered: assigned to the users it names already, who are notified."""
        self.log(incident, "trigger_log_entry", at, channel, by)
        self._set_auto_resolve(incident, at)
        self._assign(incident, [user_id for user_id, _ in incident.assignments], "assign_log_entry", by, at, channel)
        self._announce("incident.triggered", incident, by, at, channel)

    def acknowledge(self, incident: Incident, by: Agent, at: datetime, channel: str) -> None:
        """Somebody works on it: escalation stops, the acknowledgement timeout runs."""
        is_reopened = incident.status == "resolved"
        incident.acknowledgements = [(by, at)]
        self._change(incident, "acknowledged", by, at)
        if by.kind == "user":
            incident.assignments = [(by.id, at)]
        self._timers.cancel(incident.id, "escalate")
        timeout = self._world.services[incident.service_id].acknowledgement_timeout
        if timeout:
            self._timers.set(incident.id, "unacknowledge", at + timeout)
        if is_reopened:
            self._reopen(incident, at)
        self.log(incident, "acknowledge_log_entry", at, channel, by, duration=timeout)
        self._announce("incident.reopened" if is_reopened else "incident.acknowledged", incident, by, at, channel)

    def resolve(self, incident: Incident, by: Agent, at: datetime, channel: str, resolution: str | None) -> None:
        """It is over. A resolution is kept on the log entry and announced as a note."""
        incident.assignments, incident.acknowledgements = [], []
        self._change(incident, "resolved", by, at)
        incident.resolved_at = at
        self._timers.cancel(incident.id, "escalate", "unacknowledge", "resolve")
        self.log(incident, "resolve_log_entry", at, channel, by, resolution)
        self._announce("incident.resolved", incident, by, at, channel)
        if resolution:
            note = Note(self._ids.new("Q"), by.id, resolution, at)
            self._announce("incident.annotated", incident, by, at, channel, note)

    def trigger_again(self, incident: Incident, by: Agent, at: datetime, channel: str) -> None:
        """Back to triggered: by hand, by a timeout, or reopened, which assigns it anew."""
        is_reopened = incident.status == "resolved"
        incident.acknowledgements = []
        self._change(incident, "triggered", by, at)
        self._timers.cancel(incident.id, "unacknowledge")
        self.log(incident, "unacknowledge_log_entry", at, channel, by)
        if is_reopened:
            self._reopen(incident, at)
            policy = self._world.policies[incident.policy_id]
            incident.level, users = first_level(self._world, policy, at)
            self._assign(incident, users, "assign_log_entry", by, at, channel)
        else:
            self._notify(incident, at)
            self._set_escalation(incident, at)
        event_type = "incident.reopened" if is_reopened else "incident.unacknowledged"
        self._announce(event_type, incident, by, at, channel)

    def snooze(self, incident: Incident, by: Agent, at: datetime, duration: timedelta) -> None:
        """Keep it acknowledged for `duration`; then it triggers again."""
        incident.snoozed_until, incident.updated_at = at + duration, at
        self._timers.set(incident.id, "unacknowledge", at + duration)
        self.log(incident, "snooze_log_entry", at, "api", by, duration=duration)

    # --- who and where ----------------------------------------------------------------------

    def reassign(self, incident: Incident, user_ids: Sequence[str], by: Agent, at: datetime, channel: str) -> None:
        """Assign it to these users by hand; it escalates no more."""
        incident.is_direct = True
        self._timers.cancel(incident.id, "escalate")
        self._assign(incident, user_ids, "assign_log_entry", by, at, channel)
        self._announce("incident.reassigned", incident, by, at, channel)

    def delegate(self, incident: Incident, policy_id: str, by: Agent, at: datetime, channel: str) -> None:
        """Hand it to another policy, which begins at its first level."""
        incident.policy_id, incident.is_direct, incident.loops = policy_id, False, 0
        incident.level, users = first_level(self._world, self._world.policies[policy_id], at)
        self._assign(incident, users, "delegate_log_entry", by, at, channel)
        self._announce("incident.delegated", incident, by, at, channel)

    def escalate(self, incident: Incident, level: int, by: Agent, at: datetime, channel: str) -> None:
        """Assign it to whoever is on call at this level of its policy."""
        users = responders_of(self._world, self._world.policies[incident.policy_id], level, at)
        incident.level, incident.is_direct = level, False
        self._assign(incident, users, "escalate_log_entry", by, at, channel)
        self._announce("incident.escalated", incident, by, at, channel)

    def move(self, incident: Incident, service_id: str, by: Agent, at: datetime, channel: str) -> None:
        """Let it belong to another service; its policy stays."""
        incident.service_id, incident.updated_at = service_id, at
        self.log(incident, "field_value_change_log_entry", at, channel, by, changed=(("service", service_id),))
        self._announce("incident.service_updated", incident, by, at, channel)

    # --- fields -----------------------------------------------------------------------------

    def set_urgency(self, incident: Incident, urgency: Urgency, by: Agent, at: datetime, channel: str) -> None:
        """High urgency starts escalation, low ends it."""
        if incident.urgency == urgency:
            return
        incident.urgency, incident.updated_at = urgency, at
        if incident.status == "triggered":
            self._set_escalation(incident, at)
        self.log(incident, "urgency_change_log_entry", at, channel, by, changed=(("urgency", urgency),))

    def set_field(self, incident: Incident, name: str, value: object, by: Agent, at: datetime) -> None:
        """Change title, priority_id, conference_bridge or incident_type by REST."""
        setattr(incident, name, value)
        incident.updated_at = at
        self.log(incident, "field_value_change_log_entry", at, "api", by, changed=((name, str(value)),))
        announced = {
            "priority_id": "incident.priority_updated",
            "conference_bridge": "incident.conference_bridge.updated",
            "incident_type": "incident.incident_type.changed",
        }
        if name in announced:
            self._announce(announced[name], incident, by, at, "api")

    def annotate(self, incident: Incident, user_id: str, content: str, at: datetime, channel: str) -> Note:
        """Add a note; also a resolved incident takes one."""
        note, by = Note(self._ids.new("P"), user_id, content, at), Agent("user", user_id)
        incident.notes.append(note)
        incident.updated_at = at
        self.log(incident, "annotate_log_entry", at, channel, by, content)
        self._announce("incident.annotated", incident, by, at, channel, note)
        return note

    # --- timers -----------------------------------------------------------------------------

    def ring(self, incident: Incident, kind: TimerKind, at: datetime) -> None:
        """Let a timer of the incident take effect; a timer that ends in resolve is the book's to handle."""
        by = Agent("service", incident.service_id)
        if kind == "unacknowledge":
            self.trigger_again(incident, by, at, "timeout")
        elif kind == "escalate":
            self._escalate_by_itself(incident, by, at)

    def pending(self, incident: Incident) -> list[tuple[str, datetime]]:
        """What will happen to the incident by itself and when, soonest first."""
        found = [(kind, self._timers.due_of(incident.id, kind)) for kind in KINDS]
        return sorted(((kind, due) for kind, due in found if due is not None), key=lambda each: each[1])

    def log(
        self,
        incident: Incident,
        kind: str,
        at: datetime,
        channel: str,
        by: Agent,
        note: str | None = None,
        *,
        users: Sequence[str] = (),
        duration: timedelta | None = None,
        changed: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Write a line of the incident's log."""
        entry = LogEntry(self._ids.new("Q"), at, kind, channel, by, note, tuple(users), duration, changed)
        incident.log.append(entry)
        self._history.add_change(at, incident.id, incident.number, kind, channel, by.id)

    # --- inside -----------------------------------------------------------------------------

    def _escalate_by_itself(self, incident: Incident, by: Agent, at: datetime) -> None:
        policy = self._world.policies[incident.policy_id]
        above = list(range(incident.level + 1, len(policy.levels) + 1))
        if incident.loops < policy.num_loops:
            above += range(1, len(policy.levels) + 1)
        level = next((each for each in above if responders_of(self._world, policy, each, at)), None)
        if level is None:
            self.log(incident, "exhaust_escalation_path_log_entry", at, "timeout", by)
            return
        if level <= incident.level:
            incident.loops += 1
            self.log(incident, "repeat_escalation_path_log_entry", at, "timeout", by)
        self.escalate(incident, level, by, at, "timeout")

    def _assign(
        self, incident: Incident, user_ids: Sequence[str], kind: str, by: Agent, at: datetime, channel: str
    ) -> None:
        incident.assignments = [(user_id, at) for user_id in user_ids]
        incident.updated_at = at
        self.log(incident, kind, at, channel, by, users=user_ids)
        if incident.status == "triggered":
            self._notify(incident, at)
            self._set_escalation(incident, at)

    def _notify(self, incident: Incident, at: datetime) -> None:
        for user_id, _ in incident.assignments:
            self.log(incident, "notify_log_entry", at, "auto", Agent("service", incident.service_id), users=[user_id])

    def _set_escalation(self, incident: Incident, at: datetime) -> None:
        """Low urgency does not escalate, nor does what was assigned by hand."""
        if incident.urgency == "low" or incident.is_direct:
            self._timers.cancel(incident.id, "escalate")
        else:
            level = self._world.policies[incident.policy_id].levels[incident.level - 1]
            self._timers.set(incident.id, "escalate", at + level.delay)

    def _set_auto_resolve(self, incident: Incident, at: datetime) -> None:
        timeout = self._world.services[incident.service_id].auto_resolve_timeout
        if timeout:
            self._timers.set(incident.id, "resolve", at + timeout)

    def _reopen(self, incident: Incident, at: datetime) -> None:
        incident.reopened_at, incident.loops = at, 0
        self._set_auto_resolve(incident, at)

    def _change(self, incident: Incident, status: Status, by: Agent, at: datetime) -> None:
        incident.status, incident.resolved_at, incident.snoozed_until = status, None, None
        incident.updated_at = incident.last_status_change_at = at
        incident.last_status_change_by = by

    def _announce(
        self, event_type: str, incident: Incident, by: Agent, at: datetime, channel: str, note: Note | None = None
    ) -> None:
        for listener in self.listeners:
            listener(Announcement(event_type, incident, at, by, channel, note))
