"""The state machine: events and people open, acknowledge and resolve incidents here.

Events meet alerts, people meet incidents; each drags the other along. Nothing here knows HTTP.

Source: PagerDuty Events API v2, "Event action" and "Alert de-duplication"; PagerDuty support, "Incidents"
and "Alerts".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from resolute.simulator.pagerduty.event_rules import Event
from resolute.simulator.pagerduty.grouping import find_group
from resolute.simulator.pagerduty.history import History
from resolute.simulator.pagerduty.ids import Ids
from resolute.simulator.pagerduty.incidents import Agent, Alert, Incident, Status
from resolute.simulator.pagerduty.lifecycle import Lifecycle
from resolute.simulator.pagerduty.resources import Service, Urgency
from resolute.simulator.pagerduty.rota import first_level
from resolute.simulator.pagerduty.timers import Timers
from resolute.simulator.pagerduty.urgency import service_urgency
from resolute.simulator.pagerduty.world import World

LOGGED_TRIGGERS = 100
"""Triggers logged on one open incident; later ones are only counted. Source: PagerDuty support, "Limits"."""


class IncidentBook:
    """All alerts and incidents of the account.

    `life` makes every change to a single incident; use it for those that touch no alert.
    """

    def __init__(self, world: World, ids: Ids, history: History) -> None:
        self._world = world
        self._ids = ids
        self._timers = Timers()
        self.life = Lifecycle(world, ids, history, self._timers)
        self.incidents: dict[str, Incident] = {}
        self.alerts: dict[str, Alert] = {}
        self._numbers: dict[str, str] = {}
        self._open: dict[tuple[str, str], Alert] = {}

    def find(self, id_or_number: str) -> Incident | None:
        """The incident with this id, or with this number."""
        return self.incidents.get(self._numbers.get(id_or_number, id_or_number))

    def open_with_key(self, service_id: str, incident_key: str) -> Incident | None:
        """The open incident of the service that was made by REST with this key."""
        return next(
            (
                incident
                for incident in self.incidents.values()
                if incident.incident_key == incident_key
                and incident.service_id == service_id
                and incident.status != "resolved"
            ),
            None,
        )

    def status_of(self, service: Service, at: datetime) -> str:
        """How the service stands: disabled, maintenance, critical, warning or active."""
        if service.disabled:
            return "disabled"
        if self._world.is_in_maintenance(service, at):
            return "maintenance"
        statuses = {incident.status for incident in self.incidents.values() if incident.service_id == service.id}
        return "critical" if "triggered" in statuses else "warning" if "acknowledged" in statuses else "active"

    # --- events ---------------------------------------------------------------------------

    def apply(self, event: Event, dedup_key: str, at: datetime) -> tuple[str, Alert | None]:
        """Let an accepted event take effect; returns the effect (see `ProcessedEvent`) and the alert it met."""
        service = self._world.service_of(event.routing_key)
        if service is None:
            return "unknown_key", None
        if service.disabled:
            return "disabled", None
        if self._world.is_in_maintenance(service, at):
            return "maintenance", None
        if service.suppressed:
            return "suppressed", None
        alert = self._open.get((event.routing_key, dedup_key))
        if event.action == "trigger":
            return self._fold(alert, event, at) if alert else self._open_new(service, event, dedup_key, at)
        if alert is None:
            return "no_open_alert", None
        incident = self.incidents[alert.incident_id]
        agent = Agent("service", service.id)
        if event.action == "acknowledge":
            if incident.status == "acknowledged":
                return "already_acknowledged", alert
            self.life.acknowledge(incident, agent, at, "events_api")
            return "acknowledged", alert
        self._close_alert(alert, at)
        if incident.status != "resolved" and all(other.status == "resolved" for other in incident.alerts):
            self.life.resolve(incident, agent, at, "events_api", None)
        return "resolved", alert

    def _open_new(self, service: Service, event: Event, dedup_key: str, at: datetime) -> tuple[str, Alert | None]:
        group = find_group(service, event, self.incidents.values(), at)
        if group is not None:
            return self._join(group, service, event, dedup_key, at)
        policy = self._world.policies[service.policy_id]
        level, responders = first_level(self._world, policy, at)
        if not responders:
            return "nobody_on_call", None
        agent = Agent("service", service.id)
        urgency = service_urgency(service, event.severity, at)
        incident = self._new(service, event.summary, urgency, responders, agent, at)
        incident.level, incident.trigger_count = level, 1
        alert = self._new_alert(incident, service, event, dedup_key, at)
        self.life.begin(incident, agent, at, "events_api")
        return "opened", alert

    def _join(
        self, incident: Incident, service: Service, event: Event, dedup_key: str, at: datetime
    ) -> tuple[str, Alert | None]:
        alert = self._new_alert(incident, service, event, dedup_key, at)
        self._count_trigger(incident, service, event, at)
        return "grouped", alert

    def _new_alert(self, incident: Incident, service: Service, event: Event, dedup_key: str, at: datetime) -> Alert:
        alert = Alert(
            id=self._ids.new("Q"),
            alert_key=dedup_key,
            routing_key=event.routing_key,
            service_id=service.id,
            incident_id=incident.id,
            summary=event.summary,
            source=event.source,
            severity=event.severity,
            status="triggered",
            created_at=at,
            payload=event.payload,
        )
        _show(alert, event)
        incident.alerts.append(alert)
        self.alerts[alert.id] = alert
        self._open[event.routing_key, dedup_key] = alert
        return alert

    def _fold(self, alert: Alert, event: Event, at: datetime) -> tuple[str, Alert | None]:
        _show(alert, event)
        alert.event_count += 1
        self._count_trigger(self.incidents[alert.incident_id], self._world.services[alert.service_id], event, at)
        return "folded", alert

    def _count_trigger(self, incident: Incident, service: Service, event: Event, at: datetime) -> None:
        """One more trigger on an open incident: it may raise the urgency, never lower it."""
        incident.trigger_count += 1
        incident.updated_at = at
        agent = Agent("service", service.id)
        is_severity_based = service.urgency == "severity_based" or service.support_hours
        if is_severity_based and service_urgency(service, event.severity, at) == "high":
            self.life.set_urgency(incident, "high", agent, at, "events_api")
        if incident.trigger_count <= LOGGED_TRIGGERS:
            self.life.log(incident, "trigger_log_entry", at, "events_api", agent)
        elif incident.trigger_count == LOGGED_TRIGGERS + 1:
            self.life.log(incident, "reach_trigger_limit_log_entry", at, "events_api", agent)

    # --- people ---------------------------------------------------------------------------

    def create(
        self,
        service: Service,
        title: str,
        urgency: Urgency,
        by: Agent,
        at: datetime,
        *,
        policy_id: str | None = None,
        user_ids: Sequence[str] = (),
        incident_key: str | None = None,
        body: str | None = None,
        priority_id: str | None = None,
        conference_bridge: dict[str, str] | None = None,
        incident_type: str = "incident_default",
    ) -> Incident:
        """Open an incident as a person does: without an alert, assigned to `user_ids` or by the policy.

        Who assigns it to themselves has acknowledged it.
        """
        policy = self._world.policies[policy_id or service.policy_id]
        level, responders = first_level(self._world, policy, at)
        incident = self._new(service, title, urgency, list(user_ids) or responders, by, at)
        incident.policy_id, incident.level, incident.is_direct = policy.id, level, bool(user_ids)
        incident.incident_key = incident_key or self._ids.hex()
        incident.body, incident.priority_id = body, priority_id
        incident.conference_bridge, incident.incident_type = conference_bridge, incident_type
        self.life.begin(incident, by, at, "api")
        if list(user_ids) == [by.id]:
            self.life.acknowledge(incident, by, at, "api")
        return incident

    def set_status(
        self, incident: Incident, status: Status, by: Agent, at: datetime, *, channel: str, note: str | None = None
    ) -> bool:
        """Change the status as a person does; False when it had that status already.

        A resolved incident can be reopened this way, to either status; its alerts stay resolved.
        """
        if incident.status == status:
            return False
        if status == "acknowledged":
            self.life.acknowledge(incident, by, at, channel)
        elif status == "resolved":
            self._resolve_all(incident, by, at, channel, note)
        else:
            self.life.trigger_again(incident, by, at, channel)
        return True

    # --- timers ---------------------------------------------------------------------------

    @property
    def next_due(self) -> datetime | None:
        """When something next happens by itself."""
        return self._timers.next_due

    def ring_next(self) -> None:
        """Let the next timer take effect, as of the moment it was due."""
        due, incident_id, kind = self._timers.take()
        incident = self.incidents[incident_id]
        if kind == "resolve":
            self._resolve_all(incident, Agent("service", incident.service_id), due, "timeout", None)
        else:
            self.life.ring(incident, kind, due)

    # --- steps ----------------------------------------------------------------------------

    def _new(
        self, service: Service, title: str, urgency: Urgency, user_ids: Sequence[str], by: Agent, at: datetime
    ) -> Incident:
        incident = Incident(
            id=self._ids.new("Q"),
            number=len(self.incidents) + 1,
            title=title,
            service_id=service.id,
            policy_id=service.policy_id,
            urgency=urgency,
            status="triggered",
            created_at=at,
            updated_at=at,
            last_status_change_at=at,
            last_status_change_by=by,
            assignments=[(user_id, at) for user_id in user_ids],
        )
        self.incidents[incident.id] = incident
        self._numbers[str(incident.number)] = incident.id
        return incident

    def _resolve_all(self, incident: Incident, by: Agent, at: datetime, channel: str, note: str | None) -> None:
        for alert in incident.alerts:
            if alert.status == "triggered":
                self._close_alert(alert, at)
        self.life.resolve(incident, by, at, channel, note)

    def _close_alert(self, alert: Alert, at: datetime) -> None:
        alert.status, alert.resolved_at = "resolved", at
        del self._open[alert.routing_key, alert.alert_key]


def _show(alert: Alert, event: Event) -> None:
    """Let the alert show what this trigger says."""
    alert.summary, alert.source, alert.severity = event.summary, event.source, event.severity
    alert.payload, alert.links, alert.images = event.payload, event.links, event.images
    alert.client, alert.client_url = event.client, event.client_url
