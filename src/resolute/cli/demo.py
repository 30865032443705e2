"""`resolute demo`: an incident from start to end, on this machine alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resolute.cli.options import Common
from resolute.cli.terminal import print_json, print_table
from resolute.errors import ConfigError

if TYPE_CHECKING:
    from resolute.demo.story import Ending


@click.command()
@click.option("--keep", is_flag=True, help="Leave shop, PagerDuty and worker running until Ctrl-C.")
@click.pass_obj
def demo(common: Common, keep: bool) -> None:
    """Watch a service fail, a page arrive through a failing PagerDuty and a killed worker, and the alert resolve.

    Needs no account: PagerDuty is played by the simulator. Your own settings and stores are left alone.
    """
    from resolute.cli.project import run_to_end

    try:
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError('The demo needs the simulator. Install it: pip install "resolute[server]".') from error
    run_to_end(_demo(as_json=common.json, keep=keep))


async def _demo(*, as_json: bool, keep: bool) -> None:
    import asyncio
    import signal

    from resolute.demo.stage import DemoFailed
    from resolute.demo.story import play

    if not as_json:
        _print_flow()
    async with play((lambda line: None) if as_json else click.echo, os.environ) as ending:
        if ending.problem:
            raise DemoFailed(ending.problem)
        stop = asyncio.Event()
        if keep:
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, stop.set)
        if as_json:
            print_json(as_plain(ending))
        else:
            _print_ending(ending, keep=keep)
        if keep:
            await stop.wait()


def _print_flow() -> None:
    """What stands above the story: the flow that is run."""
    from resolute.demo.story import flow_file, flow_text

    file = flow_file()
    here = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    click.echo(f"The flow that is run, from {here} (nothing leaves this machine):")
    for line in flow_text().splitlines():
        click.echo(f"  {line}")
    click.echo()


def _print_ending(ending: Ending, *, keep: bool) -> None:
    """What stands below it: the ledger, where to look, and the numbers."""
    click.echo()
    heads = ("ROW", "ACTION", "DEDUP KEY", "STATUS", "REQUESTS", "ANSWER", "SERVICE KEY")
    rows = [
        (row.id, row.action, row.dedup_key, row.status, row.attempts, row.message, row.service_key)
        for row in ending.rows
    ]
    print_table(heads, rows, cut=("ANSWER",))
    if keep:
        click.echo(
            f"Kept until Ctrl-C. PagerDuty's page: {ending.simulator_url} . Break the shop (or /heal it) and check:"
        )
        click.echo(f"curl -X POST {ending.shop_url}/break && {ending.checking}")
    else:
        click.echo()
    for command in ending.commands:
        click.echo(command)
    click.echo(str(ending.tally))


def as_plain(ending: Ending) -> dict[str, Any]:
    """The ending for programs."""
    from dataclasses import asdict

    from resolute.demo.story import flow_text

    return {
        "flow": flow_text(),
        "folder": str(ending.folder),
        "store": ending.store,
        "pagerduty": ending.simulator_url,
        "shop": ending.shop_url,
        "story": [{"at_s": at_s, "who": who, "what": what} for at_s, who, what in ending.lines],
        "on_call": ending.on_call,
        "ledger": [
            {
                "id": row.id,
                "created_at": row.created_at,
                "run_id": row.run_id,
                "action": row.action,
                "dedup_key": row.dedup_key,
                "status": row.status,
                "attempts": row.attempts,
                "message": row.message,
                "service_key": row.service_key,
            }
            for row in ending.rows
        ],
        "requests": [
            {
                "at": record.at,
                "api": record.api,
                "action": record.action,
                "dedup_key": record.dedup_key,
                "status": record.status,
                "fault": record.fault,
                "applied": record.applied,
            }
            for record in ending.requests
        ],
        "tally": asdict(ending.tally) | {"line": str(ending.tally)},
        "commands": list(ending.commands),
        "checking": ending.checking,
    }
