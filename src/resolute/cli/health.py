"""`resolute health`: what the running worker says of itself, for people, scripts and container health checks."""

from __future__ import annotations

import click

from resolute.cli.options import Common


@click.command()
@click.option("--ready", is_flag=True, help="Only whether it can keep what it is given: journal and disk.")
@click.pass_obj
def health(common: Common, ready: bool) -> int:
    """Ask the worker at RESOLUTE_DASHBOARD whether it is well.

    Exit code 1 when it is not, or does not answer.
    """
    import os

    from resolute.cli.project import settings
    from resolute.cli.terminal import print_json, shown
    from resolute.errors import ConfigError
    from resolute.health_answer import ask_health

    address = settings(common).dashboard
    if not address:
        raise ConfigError(
            "Nothing says where the worker shows its health. Set RESOLUTE_DASHBOARD=127.0.0.1:8030, here and for the "
            'worker, or write dashboard = "127.0.0.1:8030" into resolute.toml.'
        )
    report = ask_health(address, os.environ, "/health/ready" if ready else "/health")
    if common.json:
        print_json(report.as_json())
    else:
        width = max((len(check.name) for check in report.checks), default=0)
        for check in report.checks:
            mark, colour = ("✓", "green") if check.ok else ("✗", "red")
            click.echo(f"{click.style(mark, fg=colour)} {check.name:<{width}}  {shown(check.detail)}")
    return 0 if report.is_well else 1
