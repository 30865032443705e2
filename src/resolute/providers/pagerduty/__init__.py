"""PagerDuty: page, acknowledge, resolve and look up who is on call, from flows."""

from resolute.providers.pagerduty.activities import acknowledge_event, get_on_calls, resolve_event, trigger_event
from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutyConfig
from resolute.providers.pagerduty.job import CreateIncidentOutput, create_pagerduty_incident
from resolute.providers.pagerduty.payloads import (
    AcknowledgeEventOutput,
    Assignment,
    EscalationRef,
    Event,
    EventImage,
    EventLink,
    EventPayload,
    GetOnCallsOutput,
    Incident,
    OnCall,
    Priority,
    ResolveEventOutput,
    ScheduleRef,
    ServiceRef,
    TriggerEventOutput,
    UserRef,
)
from resolute.providers.pagerduty.provider import PagerDutyProvider

__all__ = [
    "AcknowledgeEventOutput",
    "Assignment",
    "CreateIncidentOutput",
    "EscalationRef",
    "Event",
    "EventImage",
    "EventLink",
    "EventPayload",
    "GetOnCallsOutput",
    "Incident",
    "OnCall",
    "PagerDutyClient",
    "PagerDutyConfig",
    "PagerDutyProvider",
    "Priority",
    "ResolveEventOutput",
    "ScheduleRef",
    "ServiceRef",
    "TriggerEventOutput",
    "UserRef",
    "acknowledge_event",
    "create_pagerduty_incident",
    "get_on_calls",
    "resolve_event",
    "trigger_event",
]
