"""The simulator on its socket, until it is stopped; needs the `server` extra."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from resolute.cli.terminal import print_json
from resolute.clock import SystemClock
from resolute.simulator import PagerDutySimulator, empty_account
from resolute.simulator.pagerduty.movable_clock import MovableClock
from resolute.simulator.pagerduty.page import environment_lines
from resolute.simulator.pagerduty.seed_file import plant, read_seed
from resolute.simulator.pagerduty.server import serve


async def serve_until_stopped(
    host: str, port: int, rates: Mapping[str, float], *, seed: Path | None, strict: bool, as_json: bool
) -> None:
    """Serve until cancelled; says where once requests are answered.

    Args:
        rates: kind of fault → part of the requests that meet it.
        seed: a seed file, None for the account that a simulator starts with.
        strict: refuse what PagerDuty forgives or misreads.

    Raises:
        OSError: the address is taken or not ours.
        ConfigError: the seed file is wrong, there is no such fault, or the rates sum up to more than 1.
    """
    simulator = _made(seed)
    simulator.rules.strict = strict or simulator.rules.strict
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
                    "service_key": environment.get("PAGERDUTY_SERVICE_KEY"),
                    "api_key": environment.get("PAGERDUTY_API_KEY"),
                    "from": environment.get("PAGERDUTY_FROM"),
                    "environment": environment,
                }
            )
        else:
            click.echo(f"A local PagerDuty answers at {url}; open it to see its incidents. Nobody is paged.\n")
            for line in lines:
                click.echo(f"  {line}")
            click.echo("\nCtrl-C ends it.")
        await asyncio.Event().wait()


def _made(seed: Path | None) -> PagerDutySimulator:
    clock = MovableClock(SystemClock())
    if seed is None:
        return PagerDutySimulator(clock)
    simulator = PagerDutySimulator(clock, seed=empty_account)
    plant(read_seed(seed), simulator)
    return simulator
