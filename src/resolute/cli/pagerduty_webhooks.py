"""`resolute pagerduty webhooks`: the subscriptions that deliver events to a worker."""

from __future__ import annotations

from collections.abc import Sequence

import click

from resolute.cli.options import Common
from resolute.cli.pagerduty_account import asked, machine
from resolute.cli.pagerduty_look import plain
from resolute.cli.terminal import note, print_json, print_table
from resolute.errors import ConfigError
from resolute.providers.pagerduty.client_webhooks import Scope
from resolute.providers.pagerduty.config import PagerDutyConfig
from resolute.providers.pagerduty.webhook import SECRET
from resolute.providers.pagerduty.webhook_types import DATA_TYPES


def list_subscriptions(common: Common) -> int:
    """List the subscriptions of the account."""
    found = asked(machine(common), lambda client: client.list_webhook_subscriptions())
    if common.json:
        print_json(plain(found))
        return 0
    if not found:
        click.echo("The account has no webhook subscriptions; `resolute pagerduty webhooks create URL` makes one.")
        return 0
    print_table(
        ("ID", "STATUS", "URL", "SCOPE", "EVENTS", "DESCRIPTION"),
        [
            (
                each.id,
                "disabled" if each.temporarily_disabled else "active" if each.active else "inactive",
                each.url,
                f"{each.scope} {each.scope_id}".strip(),
                len(each.events),
                each.description,
            )
            for each in found
        ],
        cut=("DESCRIPTION", "URL"),
    )
    return 0


def create(common: Common, url: str, events: Sequence[str], scope: Scope, scope_id: str, description: str) -> int:
    """Subscribe and print the secret, which is told this once: the one place where a secret is meant to be seen."""
    ports = machine(common)
    is_simulated = PagerDutyConfig().resolve(ports.environ).api_url.startswith("http://")
    if not url.startswith(("https://", "http://") if is_simulated else "https://"):
        raise ConfigError(f"{url} is no https address, and PagerDuty delivers to no other. Write https://HOST/PATH.")
    types = events or [name for name in DATA_TYPES if name.startswith("incident.")]
    made = asked(
        ports,
        lambda client: client.create_webhook_subscription(
            url, events=types, scope=scope, scope_id=scope_id, description=description
        ),
    )
    if common.json:
        print_json(made.model_dump(mode="json"))
        return 0
    click.echo(f"Subscription {made.id} delivers to {made.url}.")
    if not made.secret:
        note(
            "PagerDuty did not tell its secret. Delete it and make another one; without it no delivery can be checked."
        )
        return 1
    click.echo("Its secret is told this once. Put it where the worker reads it:")
    click.echo(f"\n    export {SECRET}={made.secret}\n")
    click.echo("Beside one that is still in use, separate both by a comma.")
    return 0


def enable(common: Common, subscription_id: str) -> int:
    """Let a disabled subscription deliver again."""
    found = asked(machine(common), lambda client: client.enable_webhook_subscription(subscription_id))
    if common.json:
        print_json(found.model_dump(mode="json"))
    else:
        click.echo(f"Subscription {found.id or subscription_id} delivers again.")
    return 0


def ping(common: Common, subscription_id: str) -> int:
    """Have a test event delivered."""
    asked(machine(common), lambda client: client.ping_webhook_subscription(subscription_id))
    return _done(common, subscription_id, "pinged", "PagerDuty delivers a test event; it starts no run.")


def delete(common: Common, subscription_id: str) -> int:
    """End a subscription."""
    asked(machine(common), lambda client: client.delete_webhook_subscription(subscription_id))
    return _done(common, subscription_id, "deleted", f"Subscription {subscription_id} is deleted.")


def _done(common: Common, subscription_id: str, what: str, text: str) -> int:
    if common.json:
        print_json({"id": subscription_id, what: True})
    else:
        click.echo(text)
    return 0
