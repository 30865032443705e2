"""The simulator on its socket, until it is stopped; needs the `server` extra."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping

import click

from resolute.cli.terminal import print_json
from resolute.clock import SystemClock
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.page import environment_lines
from resolute.simulator.pagerduty.server import serve


async def serve_until_stopped(host: str, port: int, rates: Mapping[str, float], *, as_json: bool) -> None:
    """Serve until cancelled; says where once requests are answered.

    Args:
        rates: kind of fault → part of the requests that meet it.

    Raises:
        OSError: the address is taken or not ours.
        ConfigError: there is no such fault, or the rates sum up to more than 1.
    """
    simulator = PagerDutySimulator(SystemClock())
    simulator.faults.mix(rates)
    async with serve(simulator, host, port) as url:
        lines = environment_lines(simulator, url)
        if as_json:
            environment = dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in lines)
            print_json(
                {
                    "url": url,
                    "events_url": url,
                    "api_url": url,
                    "page": f"{url}/",
                    "service_key": simulator.routing_key,
                    "api_key": simulator.api_key,
                    "from": simulator.first_user.email,
                    "environment": environment,
                }
            )
        else:
            click.echo(f"A local PagerDuty answers at {url}; open it to see its incidents. Nobody is paged.\n")
            for line in lines:
                click.echo(f"  {line}")
            click.echo("\nCtrl-C ends it.")
        await asyncio.Event().wait()
