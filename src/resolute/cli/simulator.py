"""`resolute simulator`: serve a local PagerDuty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from resolute.cli.options import Common


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8040, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[=RATE]",
    help="Let requests meet this fault, all of them or a part (503=0.2); may be repeated.",
)
@click.option(
    "--seed",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A TOML file with the account: users, schedules, policies, services, keys, webhooks, rules.",
)
@click.option("--strict", is_flag=True, help="Refuse REST requests that PagerDuty forgives or misreads.")
@click.pass_obj
def simulator(common: Common, port: int, host: str, faults: tuple[str, ...], seed: Path | None, strict: bool) -> None:
    """Serve a local PagerDuty: both APIs on one address, and pages with its incidents, services and webhooks.

    Nobody is paged, and everything is gone when it ends. Ctrl-C and SIGTERM end it.
    """
    from resolute.cli.project import run_to_end
    from resolute.errors import ConfigError

    try:
        from resolute.cli.serve_simulator import serve_until_stopped
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("resolute"):
            raise
        raise ConfigError(
            f"The simulator needs {error.name}, which is not installed. Run: pip install 'resolute[server]'"
        ) from error
    try:
        run_to_end(serve_until_stopped(host, port, _rates(faults), seed=seed, strict=strict, as_json=common.json))
    except KeyboardInterrupt:
        return
    except OSError as error:
        raise ConfigError(
            f"The simulator cannot listen on {host}:{port}: {error.strerror or error}. Give --port 0 for a free one."
        ) from error


def _rates(faults: Sequence[str]) -> dict[str, float]:
    """Kind → part of the requests."""
    from resolute.errors import ConfigError

    rates = {}
    for fault in faults:
        kind, separator, rate = fault.partition("=")
        try:
            rates[kind] = float(rate) if separator else 1.0
        except ValueError as error:
            raise ConfigError(f'--fault {fault}: "{rate}" is no number from 0 to 1. Write --fault 503=0.2.') from error
    return rates
