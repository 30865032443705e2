"""`create_pagerduty_incident`: the activity of the run job, an alert from four plain inputs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, ParamSpec

from pydantic import BaseModel

from resolute.errors import NodeMisuse
from resolute.ledger.intent import Intent, PagingActivity, Preparation
from resolute.ledger.row import Row
from resolute.model.activity import SecretText
from resolute.providers.pagerduty.activities import PAGING_RETRY
from resolute.providers.pagerduty.mend import mend_event

P = ParamSpec("P")

# Over Events no caller can set an urgency; the severity decides it on services that go by severity.
# Source: PagerDuty support, "Dynamic notifications".
_SEVERITY: Final = {"high": "critical", "low": "warning"}


class CreateIncidentOutput(BaseModel):
    """What the job answers.

    Attributes:
        dedup_key: names the alert; acknowledge and resolve take it.
        status: "success" once PagerDuty has accepted the event.
        log_id: id of its row in the incident log.
    """

    success: bool = True
    dedup_key: str
    status: str
    message: str
    log_id: int


class CreateIncident(PagingActivity[P, CreateIncidentOutput]):
    """Refuses bad input with a row and without an attempt; a long title is cut, as for any page."""

    provider = "pagerduty"
    content_fields = frozenset({"title", "urgency", "body"})

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, CreateIncidentOutput]]) -> None:
        super().__init__(fn, retry=PAGING_RETRY)

    def prepare(self, inputs: Mapping[str, Any], preparation: Preparation) -> Intent:
        title, urgency, body = (_trimmed(inputs.get(name, default)) for name, default in _DEFAULTS)
        refusal = ""
        if not title:
            refusal = "title is empty, expected what shall appear in PagerDuty. Set title in the job's input."
        elif urgency.casefold() not in _SEVERITY:
            refusal = f'urgency is "{urgency[:40]}", expected "high" or "low". Mend urgency in the job\'s input.'
        elif "service_key" not in preparation.secrets:
            refusal = "service_key is empty, expected an integration key of 32 letters and digits."
        fields = {
            "summary": title,
            "source": "resolute",
            "severity": _SEVERITY.get(urgency.casefold(), "error"),
            **({"custom_details": {"body": body}} if body else {}),
        }
        mended = mend_event("trigger", fields, dedup_key=preparation.idempotency_key, flow=preparation.flow)
        return Intent(
            action="trigger",
            dedup_key=mended.dedup_key,
            title=mended.title,
            event=mended.event,
            key_secret=preparation.secrets.get("service_key", ""),
            urgency=urgency,
            body=body,
            remarks=(*preparation.remarks, *mended.remarks),
            refusal=refusal,
        )

    def output_of(self, row: Row) -> CreateIncidentOutput:
        return CreateIncidentOutput(
            dedup_key=row.dedup_key, status=row.response_status or row.status, message=row.message, log_id=row.id
        )


_DEFAULTS: Final = (("title", ""), ("urgency", "high"), ("body", ""))


def _trimmed(value: Any) -> str:
    return value.strip() if isinstance(value, str) else str(value)


@CreateIncident
async def create_pagerduty_incident(
    *, title: str, service_key: SecretText, urgency: str = "high", body: str = ""
) -> CreateIncidentOutput:
    """Open an alert in PagerDuty.

    Args:
        title: what appears in PagerDuty.
        service_key: the integration key (routing key) of a service.
        urgency: "high" (severity critical) or "low" (severity warning).
        body: more about it, shown in the details.

    Source: PagerDuty Events API v2, "Send an Alert Event".
    """
    raise NodeMisuse("create_pagerduty_incident.fn() was called. It sends through the incident log: run it as a job.")
