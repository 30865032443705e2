"""What came of a run, for a command that has waited for its end."""

from __future__ import annotations

import click

from resolute.cli.options import Common
from resolute.cli.terminal import note, pretty, print_json
from resolute.cli.views import run_json
from resolute.engine import RunView


def print_result(common: Common, run: RunView) -> int:
    """Print the output of a run that succeeded, or say why another one did not; the exit code."""
    if common.json:
        print_json(run_json(run, with_nodes=False))
    if run.status == "succeeded":
        if not common.json:
            click.echo(pretty(run.output))
        return 0
    at = f' at "{run.error_key}"' if run.error_key else ""
    note(f"Run {run.id} of {run.flow} {run.status.replace('_', ' ')}{at}: {run.error}")
    note(f"`resolute runs show {run.id}` shows what it did.")
    return 1
