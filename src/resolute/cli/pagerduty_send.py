"""Pages by hand: one event as a run of one node, so that it goes through the incident log like any other."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

import click

from resolute.calls import job_order
from resolute.cli.options import Common
from resolute.cli.pagerduty_account import asked, machine
from resolute.cli.project import run_to_end, settings
from resolute.cli.terminal import note, print_json
from resolute.clock import new_id
from resolute.config import store_place
from resolute.engine import RunView
from resolute.errors import ConfigError, ProviderError
from resolute.jobs import Job, prepare_call
from resolute.oneshot import Once, run_once
from resolute.ports import Ports
from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutyConfig
from resolute.providers.pagerduty.payloads import EventOutput, Incident
from resolute.providers.pagerduty.provider import PagerDutyProvider
from resolute.secrets import lookup

Action = Literal["trigger", "acknowledge", "resolve"]

#: Holds the routing key of a page by hand, before the account's own PAGERDUTY_SERVICE_KEY.
KEY_VARIABLE: Final = "PAGERDUTY_ROUTING_KEY"
#: A request is cut off after this time, or after the time for the whole command if that is shorter.
_REQUEST_S: Final = 10.0
_LOOK_BACK: Final = timedelta(minutes=5)
_INCIDENT_WITHIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True)
class Order:
    """One event to be sent.

    Attributes:
        fields: arguments of the activity, but for the routing key.
        key_from: the variable that holds the routing key, None for the usual ones.
        run_id: makes a repeat safe.
        wait_s: how long it is tried.
    """

    action: Action
    fields: Mapping[str, Any]
    key_from: str | None = None
    run_id: str | None = None
    wait_s: float = 30.0


def trigger_fields(
    summary: str, dedup_key: str, severity: str, source: str, component: str, details: Sequence[str]
) -> dict[str, Any]:
    """The arguments of a trigger event; raises ConfigError for a detail without a name."""
    given = [detail.partition("=") for detail in details]
    nameless = [detail for detail, (name, equals, _) in zip(details, given, strict=True) if not (name and equals)]
    if nameless:
        raise ConfigError(f"--detail {nameless[0]!r} is no NAME=VALUE. Write --detail region=eu-west-1.")
    fields = {"summary": summary, "severity": severity, "source": source or platform.node() or "resolute"}
    optional: dict[str, Any] = {"dedup_key": dedup_key, "component": component}
    optional["custom_details"] = {name: value for name, _, value in given}
    return {**fields, **{name: value for name, value in optional.items() if value}}


def send(common: Common, order: Order) -> int:
    """Send it and print what came of it; the exit code."""
    ports = machine(common)
    run = _sent(common, order, ports)
    return _tell(common, order, run)


def _sent(common: Common, order: Order, ports: Ports) -> RunView:
    """The finished run that has sent it."""
    found = settings(common)
    key = _routing_key(order.key_from, ports)
    ports.secrets.remember(key)
    wait = timedelta(seconds=order.wait_s)
    main = f"resolute.providers.pagerduty:{order.action}_event"
    # The key is a secret input: with it the page ends with this command, and nobody sends it later.
    job = Job(f"pagerduty {order.action}", main, {**order.fields, "routing_key": key})
    call = prepare_call(job, wait=wait)
    timeout = timedelta(seconds=max(1.0, min(order.wait_s, _REQUEST_S)))
    account = PagerDutyProvider(PagerDutyConfig(timeout=timeout, confirm=False))  # this command is gone by then
    once = Once(
        store_place(found.store, found.folder),
        call.flow,
        new_id(ports.clock, ports.randomness) if order.run_id is None else order.run_id,
        call.input,
        providers=[account],
        secrets=call.secrets,
        job=job_order(job, call, wait),
        trigger=call.flow.name,
        on_wait=lambda holder: note(f"waiting for {holder}, which is at work on the store"),
    )
    return run_to_end(run_once(once, ports))


def _routing_key(variable: str | None, ports: Ports) -> str:
    """The key that was named, else the usual one, else the account's; raises ConfigError when there is none."""
    key = lookup(variable or KEY_VARIABLE, ports.environ)
    if key is None and variable is not None:
        raise ConfigError(f"--key-from names {variable}, which is not set. Set it to an integration key.")
    key = key or PagerDutyConfig().resolve(ports.environ).service_key
    if key is None:
        raise ConfigError(
            f"There is no routing key, so nothing was sent. Set {KEY_VARIABLE}, or PAGERDUTY_SERVICE_KEY, to the "
            "integration key of a service."
        )
    return key


def _tell(common: Common, order: Order, run: RunView) -> int:
    if run.status != "succeeded":
        if common.json:
            print_json({"run_id": run.id, "status": run.status, "error": run.error})
        note(run.error or f"the run ended as {run.status}")
        note("`resolute incidents` shows what was tried; it is not sent later.")
        return 1
    output = EventOutput.model_validate(run.output)
    if common.json:
        print_json({"run_id": run.id, **output.model_dump(mode="json")})
        return 0
    for remark in output.remarks:
        note(remark)
    words = {"trigger": "Paged", "acknowledge": "Acknowledged", "resolve": "Resolved"}[order.action]
    accepted = f"PagerDuty: {output.message}" if output.ledger_status == "accepted" else output.ledger_status
    click.echo(f"{words}: {output.dedup_key} (row {output.log_id}; {accepted})")
    return 0


def test_page(common: Common, key_from: str | None, wait_s: float, *, keep: bool) -> int:
    """Send a test page, look for its incident where there is an API key, and resolve it; the exit code."""
    ports = machine(common)
    begun = ports.clock.now()
    fields = trigger_fields("Test page of Resolute: nothing is wrong", "", "info", "", "", [])
    paged = _sent(common, Order("trigger", fields, key_from, wait_s=wait_s), ports)
    if paged.status != "succeeded":
        return _tell(common, Order("trigger", fields), paged)
    key = EventOutput.model_validate(paged.output).dedup_key
    incident, looked = _incident_of(ports, key)
    resolved = None
    if not keep:
        resolved = _sent(common, Order("resolve", {"dedup_key": key}, key_from, wait_s=wait_s), ports)
    is_well = resolved is None or resolved.status == "succeeded"
    if common.json:
        print_json(
            {
                "dedup_key": key,
                "accepted": True,
                "incident": None if incident is None else incident.model_dump(mode="json"),
                "looked_for_incident": not looked,
                "resolved": resolved is not None and is_well,
                "took_s": (ports.clock.now() - begun).total_seconds(),
            }
        )
        return 0 if is_well else 1
    click.echo(f"PagerDuty accepted the test page {key}.")
    click.echo(f"Incident {incident.id}: {incident.html_url or incident.title}" if incident else looked or _NOBODY)
    if resolved is not None:
        click.echo("Resolved." if is_well else f"It could not be resolved: {resolved.error}")
    return 0 if is_well else 1


_NOBODY: Final = (
    "No incident came of it: the service may be in maintenance, disabled, or suppressing such events. "
    "Nobody was notified."
)


def _incident_of(ports: Ports, key: str) -> tuple[Incident | None, str]:
    """The incident of a page, and why nobody looked for one."""
    try:
        if PagerDutyConfig().resolve(ports.environ).api_key is None:
            return None, "PAGERDUTY_API_KEY is not set, so nobody looked whether an incident came of it."
        return asked(ports, lambda client: _look(client, key)), ""
    except ProviderError as error:
        return None, f"Whether an incident came of it could not be looked up: {error}"


async def _look(client: PagerDutyClient, key: str) -> Incident | None:
    left_s = _INCIDENT_WITHIN_S
    while True:
        now = client.now()
        found = await client.find_incidents(key, since=now - _LOOK_BACK, until=now + _LOOK_BACK)
        if found or left_s <= 0:
            return found[-1] if found else None
        left_s -= _LOOK_EVERY_S
        await asyncio.sleep(_LOOK_EVERY_S)
