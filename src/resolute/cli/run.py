"""`resolute run`: run a flow, or a job, once."""

from __future__ import annotations

import click

from resolute.cli.options import Common


@click.command()
@click.argument("flow", required=False)
@click.option("--job", metavar="JOB", help="Run this job instead: its name, or its file.")
@click.option("--input", "-i", "pairs", multiple=True, metavar="KEY=VALUE", help="One input; may be repeated.")
@click.option("--input-file", metavar="FILE", help="The input as JSON or TOML; - reads JSON from standard input.")
@click.option("--run-id", metavar="ID", help="The run's id. The same id never does the same work twice.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, min_open=True, max=86400),
    metavar="SECONDS",
    help="How long to wait: a job 30 s, a flow without limit unless this says so.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done; send nothing, write nothing.")
@click.pass_obj
def run(
    common: Common,
    flow: str | None,
    job: str | None,
    pairs: tuple[str, ...],
    input_file: str | None,
    run_id: str | None,
    wait: float | None,
    dry_run: bool,
) -> int:
    """Run FLOW of the module once, or a job, and print what came of it.

    A value of --input is read as JSON where it is JSON, else as text; a dot leads inside (--input incident.id=7).

    A job always prints one line of JSON: its answer, or {"name": ..., "value": ...} and exit code 1.
    """
    if (flow is None) == (job is None):
        raise click.UsageError("Name a flow, or a job: resolute run FLOW, or resolute run --job JOB.")
    if job is not None:
        from resolute.cli.run_job import JobCall, run_job

        return run_job(common, JobCall(job, pairs, input_file, run_id, 30.0 if wait is None else wait, dry_run))
    from resolute.cli.run_flow import FlowCall, run_flow

    return run_flow(common, FlowCall(str(flow), pairs, input_file, run_id, wait, dry_run))
