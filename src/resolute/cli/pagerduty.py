"""`resolute pagerduty`: page, acknowledge, resolve and look things up by hand; pages go through the incident log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from resolute.providers.pagerduty.client_webhooks import Scope

SEVERITIES: Final = ("critical", "error", "warning", "info")
OPEN: Final = ("triggered", "acknowledged")
STATUSES: Final = (*OPEN, "resolved")

_key_from = click.option(
    "--key-from",
    metavar="VARIABLE",
    help="The variable that holds the routing key; PAGERDUTY_ROUTING_KEY, else PAGERDUTY_SERVICE_KEY.",
)
_wait = click.option("--wait", type=click.FloatRange(0.1, 86400), default=30.0, show_default=True,
                     help="Seconds to try for.")  # fmt: skip
_run_id = click.option("--run-id", metavar="ID", help="Makes a repeat safe: it is the same send, under the same id.")
_sender = click.option("--from", "sender", metavar="EMAIL", default="", help="In whose name; PAGERDUTY_FROM.")


@click.group()
def pagerduty() -> None:
    """Page, acknowledge, resolve and look things up in PagerDuty by hand.

    The account is that of the PAGERDUTY_ variables. What is sent stands in the incident log.
    """


@pagerduty.command("trigger")
@click.argument("summary")
@click.option("--dedup-key", metavar="KEY", default="", help="Names the alert; one of its own by default.")
@click.option("--severity", type=click.Choice(SEVERITIES), default="error", show_default=True, help="How bad it is.")
@click.option("--source", metavar="TEXT", default="", help="What is affected; this machine by default.")
@click.option("--component", metavar="TEXT", default="", help="Which part of it.")
@click.option("--detail", "details", metavar="NAME=VALUE", multiple=True, help="More about it; may be repeated.")
@_key_from
@_run_id
@_wait
@click.pass_obj
def trigger(
    common: Common,
    summary: str,
    dedup_key: str,
    severity: str,
    source: str,
    component: str,
    details: tuple[str, ...],
    key_from: str | None,
    run_id: str | None,
    wait: float,
) -> int:
    """Open an alert with this SUMMARY, or add to the open one of the same dedup key."""
    from resolute.cli import pagerduty_send

    fields = pagerduty_send.trigger_fields(summary, dedup_key, severity, source, component, details)
    return pagerduty_send.send(common, pagerduty_send.Order("trigger", fields, key_from, run_id, wait))


@pagerduty.command("ack")
@click.argument("dedup_key", metavar="KEY")
@_key_from
@_run_id
@_wait
@click.pass_obj
def acknowledge(common: Common, dedup_key: str, key_from: str | None, run_id: str | None, wait: float) -> int:
    """Say that somebody works on the alert of this dedup KEY."""
    from resolute.cli import pagerduty_send

    order = pagerduty_send.Order("acknowledge", {"dedup_key": dedup_key}, key_from, run_id, wait)
    return pagerduty_send.send(common, order)


@pagerduty.command("resolve")
@click.argument("dedup_key", metavar="KEY")
@_key_from
@_run_id
@_wait
@click.pass_obj
def resolve(common: Common, dedup_key: str, key_from: str | None, run_id: str | None, wait: float) -> int:
    """Say that the problem of this dedup KEY is over."""
    from resolute.cli import pagerduty_send

    order = pagerduty_send.Order("resolve", {"dedup_key": dedup_key}, key_from, run_id, wait)
    return pagerduty_send.send(common, order)


@pagerduty.command("test")
@click.option("--keep", is_flag=True, help="Do not resolve it.")
@_key_from
@_wait
@click.pass_obj
def test(common: Common, keep: bool, key_from: str | None, wait: float) -> int:
    """Send a test page of severity info, look whether an incident came of it, and resolve it.

    Whoever is on call for the service may be notified.
    """
    from resolute.cli import pagerduty_send

    return pagerduty_send.test_page(common, key_from, wait, keep=keep)


@pagerduty.command("incidents")
@click.option("--status", "statuses", type=click.Choice(STATUSES), multiple=True, help="Open ones by default.")
@click.option("--service", "service_ids", metavar="ID", multiple=True, help="Only of this service.")
@click.option("--urgency", "urgencies", type=click.Choice(("high", "low")), multiple=True, help="Only of this urgency.")
@click.option("--days", type=click.FloatRange(0.01, 3660), default=30.0, show_default=True, help="Created since then.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most this many.")
@click.pass_obj
def incidents(
    common: Common,
    statuses: tuple[str, ...],
    service_ids: tuple[str, ...],
    urgencies: tuple[str, ...],
    days: float,
    limit: int,
) -> int:
    """List incidents, newest first."""
    from resolute.cli import pagerduty_look

    return pagerduty_look.incidents(common, statuses or OPEN, service_ids, urgencies, days, limit)


@pagerduty.command("show")
@click.argument("incident_id", metavar="ID")
@click.pass_obj
def show(common: Common, incident_id: str) -> int:
    """Show an incident by its ID or number, with its alerts, notes and history."""
    from resolute.cli import pagerduty_look

    return pagerduty_look.show(common, incident_id)


@pagerduty.command("note")
@click.argument("incident_id", metavar="ID")
@click.argument("text")
@_sender
@click.pass_obj
def note(common: Common, incident_id: str, text: str, sender: str) -> int:
    """Write a note on an incident."""
    from resolute.cli import pagerduty_look

    return pagerduty_look.add_note(common, incident_id, text, sender)


@pagerduty.command("oncall")
@click.option("--policy", "policy_ids", metavar="ID", multiple=True, help="Only of this escalation policy.")
@click.option("--schedule", "schedule_ids", metavar="ID", multiple=True, help="Only of this schedule.")
@click.pass_obj
def oncall(common: Common, policy_ids: tuple[str, ...], schedule_ids: tuple[str, ...]) -> int:
    """List who is on call now; level 1 is paged first."""
    from resolute.cli import pagerduty_look

    return pagerduty_look.on_call(common, policy_ids, schedule_ids)


@pagerduty.command("services")
@click.argument("query", required=False, default="")
@click.pass_obj
def services(common: Common, query: str) -> int:
    """List services whose name holds QUERY, all without it."""
    from resolute.cli import pagerduty_look

    return pagerduty_look.services(common, query)


@pagerduty.group("webhooks")
def webhooks() -> None:
    """List, create, enable, ping and delete webhook subscriptions."""


@webhooks.command("list")
@click.pass_obj
def list_webhooks(common: Common) -> int:
    """List the subscriptions of the account."""
    from resolute.cli import pagerduty_webhooks

    return pagerduty_webhooks.list_subscriptions(common)


@webhooks.command("create")
@click.argument("url")
@click.option("--event", "events", metavar="TYPE", multiple=True, help="An event type; all of incidents by default.")
@click.option("--service", "service_id", metavar="ID", default="", help="Only what concerns this service.")
@click.option("--team", "team_id", metavar="ID", default="", help="Only what concerns this team.")
@click.option("--description", metavar="TEXT", default="Resolute", show_default=True, help="Shown in PagerDuty.")
@click.pass_obj
def create_webhook(
    common: Common, url: str, events: tuple[str, ...], service_id: str, team_id: str, description: str
) -> int:
    """Subscribe to events, to be delivered to URL; prints the secret, which PagerDuty tells this once."""
    from resolute.cli import pagerduty_webhooks

    if service_id and team_id:
        raise click.UsageError("--service and --team exclude each other.")
    scope: Scope = "service" if service_id else "team" if team_id else "account"
    return pagerduty_webhooks.create(common, url, events, scope, service_id or team_id, description)


@webhooks.command("enable")
@click.argument("subscription_id", metavar="ID")
@click.pass_obj
def enable_webhook(common: Common, subscription_id: str) -> int:
    """Let a subscription deliver again that PagerDuty has disabled."""
    from resolute.cli import pagerduty_webhooks

    return pagerduty_webhooks.enable(common, subscription_id)


@webhooks.command("ping")
@click.argument("subscription_id", metavar="ID")
@click.pass_obj
def ping_webhook(common: Common, subscription_id: str) -> int:
    """Have PagerDuty deliver a test event, which starts no run."""
    from resolute.cli import pagerduty_webhooks

    return pagerduty_webhooks.ping(common, subscription_id)


@webhooks.command("delete")
@click.argument("subscription_id", metavar="ID")
@click.pass_obj
def delete_webhook(common: Common, subscription_id: str) -> int:
    """End a subscription."""
    from resolute.cli import pagerduty_webhooks

    return pagerduty_webhooks.delete(common, subscription_id)
