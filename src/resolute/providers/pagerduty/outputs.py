"""What the activities of the REST API put out; their names are the specification's where it has one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from resolute.providers.pagerduty.payloads import Incident, Priority
from resolute.providers.pagerduty.records import Alert, LogEntry, Service

IncidentStatus = Literal["triggered", "acknowledged", "resolved"]
IncidentUrgency = Literal["high", "low"]


class GetIncidentOutput(BaseModel):
    """The incident that was asked for."""

    incident: Incident


class ListIncidentsOutput(BaseModel):
    """One page of incidents.

    Attributes:
        total: how many there are in all; None unless it was asked for with `with_total=True`.
        more: whether there are others behind this page.
    """

    incidents: list[Incident] = Field(default_factory=list)
    total: int | None = None
    more: bool = False


class FindIncidentOutput(BaseModel):
    """The incident of a dedup key.

    Attributes:
        incident: the newest open one, else the newest; None when none appeared in time.
        found: whether there is one.
    """

    incident: Incident | None = None
    found: bool = False


class UpdateIncidentOutput(BaseModel):
    """The incident as PagerDuty has it after the change."""

    incident: Incident


class SnoozeIncidentOutput(BaseModel):
    """The incident, acknowledged until the time is over."""

    incident: Incident


class CreatedIncident(BaseModel):
    """An incident that was made over REST.

    Attributes:
        incident_key: what it can be found by; the same for every attempt of the node.
        created: False when it was there already: an earlier attempt made it, or an open one has this key.
    """

    incident: Incident
    incident_key: str
    created: bool = True


class AddNoteOutput(BaseModel):
    """The note.

    Attributes:
        created: False when an earlier attempt had written it.
    """

    note_id: str
    created: bool = True


class ListServicesOutput(BaseModel):
    """One page of services.

    Attributes:
        total: how many there are in all; None unless it was asked for with `with_total=True`.
        more: whether there are others behind this page.
    """

    services: list[Service] = Field(default_factory=list)
    total: int | None = None
    more: bool = False


class ListAlertsOutput(BaseModel):
    """The alerts of an incident, oldest first.

    Attributes:
        more: whether there are others that were left out.
    """

    alerts: list[Alert] = Field(default_factory=list)
    more: bool = False


class ListLogEntriesOutput(BaseModel):
    """The history of an incident, newest first as PagerDuty lists it.

    Attributes:
        more: whether there are others that were left out.
    """

    log_entries: list[LogEntry] = Field(default_factory=list)
    more: bool = False


class ListPrioritiesOutput(BaseModel):
    """The priorities of the account, most severe first; `order` counts from 0."""

    priorities: list[Priority] = Field(default_factory=list)


class ChangeEventOutput(BaseModel):
    """What became of a change event.

    Attributes:
        status: always "success": PagerDuty accepted it.
        message: PagerDuty's own words.
        remarks: what was mended, a sentence each.
    """

    status: str = "success"
    message: str = ""
    remarks: list[str] = Field(default_factory=list)
