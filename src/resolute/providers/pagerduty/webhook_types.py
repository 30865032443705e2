"""What PagerDuty's webhooks hold: the data of every event type, each as a model that keeps what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Discriminator, Field, Tag

from resolute.providers.pagerduty.payloads import (
    EscalationRef,
    Instant,
    Named,
    Priority,
    ServiceRef,
    UserRef,
    VendorObject,
)
from resolute.providers.pagerduty.records import IncidentRef

#: The test event that a subscription can be asked for. It has no incident.
PING: Final = "pagey.ping"

#: Event type → `type` of its data. The list grows; what stands not here is kept whole.
#: Source: PagerDuty developer docs, "Webhook Types" and "Event Data Types".
DATA_TYPES: Final[Mapping[str, str]] = {
    "incident.triggered": "incident",
    "incident.acknowledged": "incident",
    "incident.unacknowledged": "incident",
    "incident.resolved": "incident",
    "incident.reopened": "incident",
    "incident.escalated": "incident",
    "incident.delegated": "incident",
    "incident.reassigned": "incident",
    "incident.priority_updated": "incident",
    "incident.service_updated": "incident",
    "incident.incident_type.changed": "incident",
    "incident.annotated": "incident_note",
    "incident.status_update_published": "incident_status_update",
    "incident.responder.added": "incident_responder",
    "incident.responder.replied": "incident_responder",
    "incident.role.assigned": "incident_role_assignment",
    "incident.conference_bridge.updated": "incident_conference_bridge",
    "incident.custom_field_values.updated": "incident_field_values",
    "incident.task.created": "incident_task",
    "incident.task.updated": "incident_task",
    "incident.task.completed": "incident_task",
    "incident.action_invocation.created": "incident_action_invocation",
    "incident.action_invocation.updated": "incident_action_invocation",
    "incident.action_invocation.terminated": "incident_action_invocation",
    "incident.workflow.started": "incident_workflow_instance",
    "incident.workflow.completed": "incident_workflow_instance",
    "service.created": "service",
    "service.updated": "service",
    "service.deleted": "service",
    "service.custom_field_values.updated": "service_field_values",
    PING: "ping",
}


class EventData(VendorObject):
    """The data of an event of any type; every field that PagerDuty sends is kept, known here or not.

    Attributes:
        type: the type of the data, such as "incident" or "incident_note".
        incident: the incident it belongs to, None where the data is the incident itself or has none.
    """

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True)

    id: str = ""
    type: str = ""
    incident: IncidentRef | None = None


class IncidentData(EventData):
    """An incident, in the shape of webhooks: `number`, not `incident_number`; `assignees`, not `assignments`."""

    number: int | None = None
    title: str = ""
    status: str = ""
    urgency: str = ""
    incident_key: str | None = None
    html_url: str | None = None
    created_at: Instant = None
    reopened_at: Instant = None
    service: ServiceRef | None = None
    escalation_policy: EscalationRef | None = None
    assignees: list[UserRef] = Field(default_factory=list)
    teams: list[Named] = Field(default_factory=list)
    priority: Priority | None = None


class NoteData(EventData):
    """A note on an incident. `trimmed`: it was longer than `content` shows."""

    content: str = ""
    trimmed: bool = False


class StatusUpdateData(EventData):
    """A status update for the stakeholders of an incident. `trimmed`: it was longer than `message` shows."""

    message: str = ""
    trimmed: bool = False


class ResponderData(EventData):
    """Somebody who was asked for help with an incident, or has answered: `state` is "pending", "accepted", ..."""

    user: UserRef | None = None
    escalation_policy: EscalationRef | None = None
    message: str = ""
    state: str = ""


class RoleAssignmentData(EventData):
    """Somebody who was given a role in an incident."""

    user: UserRef | None = None
    role: Named | None = None


class ConferenceBridgeData(EventData):
    """Where the people of an incident meet."""

    conference_number: str | None = None
    conference_url: str | None = None


class FieldValuesData(EventData):
    """Custom fields of an incident or service that have new values."""

    custom_fields: list[dict[str, Any]] = Field(default_factory=list)
    changed_field_ids: list[str] = Field(default_factory=list)


class TaskData(EventData):
    """A task of an incident."""

    summary: str = ""
    status: str = ""


class ActionInvocationData(EventData):
    """An automation action that was run for an incident."""

    state: str = ""


class WorkflowInstanceData(EventData):
    """A workflow that was run for an incident."""

    summary: str = ""


class ServiceData(EventData):
    """A service that was made, changed or deleted."""

    name: str = ""
    summary: str = ""
    description: str = ""
    html_url: str | None = None
    created_at: Instant = None


class PingData(EventData):
    """A test event."""

    message: str = ""


class OtherData(EventData):
    """Data of a type that is not known here, kept whole."""


_OTHER: Final = "other"
_KNOWN: Final = frozenset({*DATA_TYPES.values()})


def _kind(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if isinstance(kind, str) and kind in _KNOWN else _OTHER


AnyEventData = Annotated[
    Annotated[IncidentData, Tag("incident")]
    | Annotated[NoteData, Tag("incident_note")]
    | Annotated[StatusUpdateData, Tag("incident_status_update")]
    | Annotated[ResponderData, Tag("incident_responder")]
    | Annotated[RoleAssignmentData, Tag("incident_role_assignment")]
    | Annotated[ConferenceBridgeData, Tag("incident_conference_bridge")]
    | Annotated[FieldValuesData, Tag("incident_field_values")]
    | Annotated[FieldValuesData, Tag("service_field_values")]
    | Annotated[TaskData, Tag("incident_task")]
    | Annotated[ActionInvocationData, Tag("incident_action_invocation")]
    | Annotated[WorkflowInstanceData, Tag("incident_workflow_instance")]
    | Annotated[ServiceData, Tag("service")]
    | Annotated[PingData, Tag("ping")]
    | Annotated[OtherData, Tag(_OTHER)],
    Discriminator(_kind),
]
