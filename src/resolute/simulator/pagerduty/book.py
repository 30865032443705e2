"""The state machine: events and people open, acknowledge and resolve incidents here.

Events meet alerts, people meet incidents; each drags the other along. Nothing here knows HTTP.

Source: PagerDuty Events API v2, "Event action" and "Alert de-duplication"; PagerDuty support, "Incidents"
and "Alerts".
"""

from __future__ import annotations

from datetime import datetime

from resolute.simulator.pagerduty.event_rules import Event
from resolute.simulator.pagerduty.history import History
from resolute.simulator.pagerduty.ids import Ids
from resolute.simulator.pagerduty.incidents import Agent, Alert, Incident, LogEntry, Status
from resolute.simulator.pagerduty.rota import first_responders
from resolute.simulator.pagerduty.world import Service, Urgency, World

LOGGED_TRIGGERS = 100
"""Triggers logged on one open incident; later ones are only counted. Source: PagerDuty support, "Limits"."""


class IncidentBook:
    """All alerts and incidents of the account, and the only place that changes them."""

    def __init__(self, world: World, ids: Ids, history: History) -> None:
        self._world = world
        self._ids = ids
        self._history = history
        self.incidents: dict[str, Incident] = {}
        self.alerts: dict[str, Alert] = {}
        self._numbers: dict[str, str] = {}
        self._open: dict[tuple[str, str], Alert] = {}

    def find(self, id_or_number: str) -> Incident | None:
        """The incident with this id, or with this number."""
        return self.incidents.get(self._numbers.get(id_or_number, id_or_number))

    # --- events ---------------------------------------------------------------------------

    def apply(self, event: Event, dedup_key: str, at: datetime) -> tuple[str, Alert | None]:
        """Let an accepted event take effect; returns the effect (see `ProcessedEvent`) and the alert it met."""
        service = self._world.service_of(event.routing_key)
        if service is None:
            return "unknown_key", None
        for obstacle in ("disabled", "maintenance", "suppressed"):
            if getattr(service, obstacle):
                return obstacle, None
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
            self._acknowledge(incident, agent, at, "events_api")
            return "acknowledged", alert
        self._close_alert(alert, at)
        if all(other.status == "resolved" for other in incident.alerts):
            self._resolve(incident, agent, at, "events_api", None)
        return "resolved", alert

    def _open_new(self, service: Service, event: Event, dedup_key: str, at: datetime) -> tuple[str, Alert | None]:
        policy = self._world.policies[service.policy_id]
        responders = first_responders(self._world, policy, at)
        if not responders:
            return "nobody_on_call", None
        agent = Agent("service", service.id)
        incident = Incident(
            id=self._ids.new("Q"),
            number=len(self.incidents) + 1,
            title=event.summary,
            service_id=service.id,
            policy_id=policy.id,
            urgency=_urgency(service, event.severity),
            status="triggered",
            created_at=at,
            updated_at=at,
            last_status_change_at=at,
            last_status_change_by=agent,
            assignments=[(user_id, at) for user_id in responders],
            trigger_count=1,
        )
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
        incident.alerts.append(alert)
        self.incidents[incident.id] = incident
        self._numbers[str(incident.number)] = incident.id
        self.alerts[alert.id] = alert
        self._open[event.routing_key, dedup_key] = alert
        self._log(incident, "trigger_log_entry", at, "events_api", agent)
        self._log(incident, "assign_log_entry", at, "events_api", agent)
        return "opened", alert

    def _fold(self, alert: Alert, event: Event, at: datetime) -> tuple[str, Alert | None]:
        alert.summary, alert.source, alert.severity = event.summary, event.source, event.severity
        alert.payload = event.payload
        alert.event_count += 1
        incident = self.incidents[alert.incident_id]
        incident.trigger_count += 1
        incident.updated_at = at
        service = self._world.services[alert.service_id]
        if service.urgency == "severity_based" and _urgency(service, event.severity) == "high":
            incident.urgency = "high"
        agent = Agent("service", service.id)
        if incident.trigger_count <= LOGGED_TRIGGERS:
            self._log(incident, "trigger_log_entry", at, "events_api", agent)
        elif incident.trigger_count == LOGGED_TRIGGERS + 1:
            self._log(incident, "reach_trigger_limit_log_entry", at, "events_api", agent)
        return "folded", alert

    # --- people ---------------------------------------------------------------------------

    def set_status(
        self, incident: Incident, status: Status, by: Agent, at: datetime, *, channel: str, note: str | None = None
    ) -> bool:
        """Change the status as a person does; False when it had that status already.

        A resolved incident can be reopened this way, to either status; its alerts stay resolved.
        """
        if incident.status == status:
            return False
        if status == "acknowledged":
            self._acknowledge(incident, by, at, channel)
            incident.assignments = [(by.id, at)]
        elif status == "resolved":
            self._resolve(incident, by, at, channel, note)
        else:
            self._trigger_again(incident, by, at, channel)
        return True

    # --- steps ----------------------------------------------------------------------------

    def _acknowledge(self, incident: Incident, by: Agent, at: datetime, channel: str) -> None:
        incident.acknowledgements = [(by, at)]
        self._change(incident, "acknowledged", by, at)
        self._log(incident, "acknowledge_log_entry", at, channel, by)

    def _resolve(self, incident: Incident, by: Agent, at: datetime, channel: str, note: str | None) -> None:
        for alert in incident.alerts:
            if alert.status == "triggered":
                self._close_alert(alert, at)
        incident.assignments, incident.acknowledgements = [], []
        self._change(incident, "resolved", by, at)
        incident.resolved_at = at
        self._log(incident, "resolve_log_entry", at, channel, by, note)

    def _trigger_again(self, incident: Incident, by: Agent, at: datetime, channel: str) -> None:
        incident.acknowledgements = []
        if incident.status == "resolved":
            policy = self._world.policies[incident.policy_id]
            incident.assignments = [(user_id, at) for user_id in first_responders(self._world, policy, at)]
        self._change(incident, "triggered", by, at)
        self._log(incident, "unacknowledge_log_entry", at, channel, by)

    def _close_alert(self, alert: Alert, at: datetime) -> None:
        alert.status, alert.resolved_at = "resolved", at
        del self._open[alert.routing_key, alert.alert_key]

    def _change(self, incident: Incident, status: Status, by: Agent, at: datetime) -> None:
        incident.status, incident.resolved_at = status, None
        incident.updated_at = incident.last_status_change_at = at
        incident.last_status_change_by = by

    def _log(
        self, incident: Incident, kind: str, at: datetime, channel: str, by: Agent, note: str | None = None
    ) -> None:
        incident.log.append(LogEntry(self._ids.new("Q"), at, kind, channel, by, note))
        self._history.add_change(at, incident.id, incident.number, kind, channel, by.id)


def _urgency(service: Service, severity: str) -> Urgency:
    if service.urgency == "severity_based":
        return "low" if severity in ("warning", "info") else "high"
    return service.urgency
