"""The PagerDuty activities that send events, through the incident log and in no other way."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Generic, NoReturn, ParamSpec, TypeVar

from resolute.errors import NodeMisuse
from resolute.ledger.intent import Intent, PagingActivity, Preparation
from resolute.ledger.row import Action, Row
from resolute.model.activity import Node, SecretText
from resolute.model.reference import Ref, references_in
from resolute.model.retry import Retry
from resolute.model.trigger import Schedule
from resolute.providers.pagerduty.mend import SEVERITIES, SUMMARY_CHARACTERS, mend_event
from resolute.providers.pagerduty.payloads import (
    AcknowledgeEventOutput,
    EventImage,
    EventLink,
    EventOutput,
    EventStatus,
    ResolveEventOutput,
    Severity,
    TriggerEventOutput,
)

P = ParamSpec("P")
R = TypeVar("R", bound=EventOutput)

#: Pages are tried for a day, at most a minute apart.
PAGING_RETRY: Final = Retry(
    initial=timedelta(seconds=1),
    coefficient=2,
    maximum=timedelta(seconds=60),
    attempts=None,
    deadline=timedelta(hours=24),
    jitter=0.5,
)

_STATUS: Final[Mapping[str, EventStatus]] = {
    "accepted": "success",
    "superseded": "superseded",
    "expired": "expired",
}


class EventActivity(PagingActivity[P, R], Generic[P, R]):
    """An activity that sends an event under a dedup key that is fixed before the first attempt."""

    provider = "pagerduty"

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, R]], action: Action, output: type[R]) -> None:
        super().__init__(fn, name=f"pagerduty.{fn.__name__}", retry=PAGING_RETRY)
        self.action = action
        self.output = output
        self.content_fields = frozenset(self.parameters) - {"routing_key", "dedup_key"}

    def prepare(self, inputs: Mapping[str, Any], preparation: Preparation) -> Intent:
        """The mended event; without a dedup key a trigger gets one of its own, others are refused."""
        given = inputs.get("dedup_key", "")
        dedup_key = given if isinstance(given, str) else str(given)
        refusal = ""
        if not dedup_key.strip():
            dedup_key = preparation.idempotency_key if self.action == "trigger" else ""
            if not dedup_key:
                refusal = (
                    f"{self.name} was given an empty dedup_key, and without one there is nothing to {self.action}."
                )
        fields: dict[str, Any] = {"severity": "error", "source": preparation.flow}  # what is left out is no mistake
        fields |= {name: value for name, value in inputs.items() if name in self.content_fields}
        mended = mend_event(self.action, fields, dedup_key=dedup_key, flow=preparation.flow)
        payload = mended.event.get("payload")
        severity = payload.get("severity") if isinstance(payload, dict) else ""
        return Intent(
            action=self.action,
            dedup_key=mended.dedup_key,
            title=mended.title,
            event=mended.event,
            key_secret=preparation.secrets.get("routing_key", ""),
            urgency=str(severity or ""),
            remarks=(*preparation.remarks, *mended.remarks),
            refusal=refusal,
        )

    def output_of(self, row: Row) -> R:
        """What became of the event."""
        return self.output(
            status=_STATUS[row.status],
            message=row.message,
            dedup_key=row.dedup_key,
            ledger_status=row.status,
            ledger="deferred" if row.is_deferred else "written",
            log_id=row.id,
            remarks=list(row.remarks),
        )

    def node_problems(self, node: Node[R], triggers: Sequence[object]) -> Sequence[str]:
        """A scheduled trigger event needs a fixed dedup key, an acknowledge or resolve any at all."""
        key = node.arguments.get("dedup_key", "")
        if isinstance(key, Ref) or key:
            return ()
        if self.action == "trigger" and any(isinstance(trigger, Schedule) for trigger in triggers):
            return (
                "the flow is scheduled and this trigger event has no dedup_key, so every tick would open a new alert. "
                f'Give it a fixed one, such as dedup_key="<flow>/{node.key}", '
                "or dedup_key=run_id() if every tick shall page anew.",
            )
        if self.action != "trigger" and "dedup_key" in node.arguments:
            return (f"{self.name}(dedup_key=...) is empty. Give the dedup_key of the trigger event.",)
        return ()

    def node_warnings(self, node: Node[R]) -> Sequence[str]:
        """Literals that PagerDuty would refuse and that are mended when they are sent."""
        found = []
        severity, summary = node.arguments.get("severity"), node.arguments.get("summary")
        if severity is not None and not any(True for _ in references_in(severity)) and severity not in SEVERITIES:
            found.append(
                f'node "{node.key}": severity {severity!r} is none of {", ".join(SEVERITIES)}; it is mended when sent.'
            )
        if isinstance(summary, str) and len(summary) > SUMMARY_CHARACTERS:
            found.append(
                f'node "{node.key}": the summary has {len(summary)} characters; it is cut to {SUMMARY_CHARACTERS}.'
            )
        return found


def _sends(action: Action, output: type[R]) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], EventActivity[P, R]]:
    return lambda fn: EventActivity(fn, action, output)


def _through_the_log(name: str) -> NoReturn:
    raise NodeMisuse(
        f"pagerduty.{name}.fn() was called. Events are sent through the incident log alone, so that none is lost and "
        f"none is sent twice: put pagerduty.{name}(...) into a flow."
    )


@_sends("trigger", TriggerEventOutput)
async def trigger_event(
    *,
    routing_key: SecretText = "",
    summary: str,
    source: str = "",
    severity: Severity = "error",
    dedup_key: str = "",
    component: str = "",
    group: str = "",
    class_: str = "",
    custom_details: dict[str, Any] | None = None,
    links: Sequence[EventLink] = (),
    images: Sequence[EventImage] = (),
    client: str = "",
    client_url: str = "",
    timestamp: datetime | str | None = None,
) -> TriggerEventOutput:
    """Report a problem: opens an alert, or adds to the open one of the same dedup key.

    The output's `status` is "success" once PagerDuty has accepted the event; that does not say that
    somebody was notified. No content is refused: what PagerDuty would not take is mended and told in `remarks`.

    Args:
        routing_key: `secret("NAME")` of an Events API v2 integration key; without it the provider's service_key.
        summary: at most 1,024 characters are shown; the whole goes into the details.
        source: what is affected; the flow's name by default.
        severity: "critical", "error", "warning" or "info".
        dedup_key: names the alert, 255 characters; by default one of its own for each run.
        class_: kind of the problem; "class" in PagerDuty.
        custom_details: anything JSON.
        timestamp: when it happened, aware; by default when this node became ready.

    Source: PagerDuty Events API v2, "Send an Alert Event".
    """
    _through_the_log("trigger_event")


@_sends("acknowledge", AcknowledgeEventOutput)
async def acknowledge_event(*, routing_key: SecretText = "", dedup_key: str) -> AcknowledgeEventOutput:
    """Say that somebody works on the alert of this dedup key; PagerDuty drops it when no such alert is open.

    Source: PagerDuty Events API v2, "Send an Alert Event".
    """
    _through_the_log("acknowledge_event")


@_sends("resolve", ResolveEventOutput)
async def resolve_event(*, routing_key: SecretText = "", dedup_key: str) -> ResolveEventOutput:
    """Say that the problem of this dedup key is over; PagerDuty drops it when no such alert is open.

    Source: PagerDuty Events API v2, "Send an Alert Event".
    """
    _through_the_log("resolve_event")
