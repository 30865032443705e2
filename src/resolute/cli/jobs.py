"""`resolute jobs`: the jobs in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from resolute.jobs import Job


@click.group()
def jobs() -> None:
    """List or show jobs: *.toml files with a [job] table here, in jobs/, or named in resolute.toml."""


@jobs.command("list")
@click.pass_obj
def list_jobs(common: Common) -> int:
    """List the jobs; files that cannot be read are told on stderr (exit code 2)."""
    from resolute.cli.project import settings
    from resolute.cli.terminal import note, print_json, print_table
    from resolute.errors import ConfigError
    from resolute.jobs import job_files, read_job

    found: list[Job] = []
    faults: list[str] = []
    for path in job_files(settings(common)):
        try:
            found.append(read_job(path))
        except ConfigError as error:
            faults.append(str(error))
    if common.json:
        print_json([{"name": job.name, "main": job.main, "env": list(job.env), "file": str(job.file)} for job in found])
    elif found:
        rows = [(job.name, job.main, ", ".join(job.env), job.file) for job in found]
        print_table(("JOB", "MAIN", "NEEDS", "FILE"), rows, cut=("MAIN", "NEEDS"))
    else:
        click.echo("No jobs here. A job is a *.toml file with a [job] table: name, main, env and [job.input].")
    for fault in faults:
        note(fault)
    return 2 if faults else 0


@jobs.command("show")
@click.argument("job")
@click.pass_obj
def show_job(common: Common, job: str) -> None:
    """Show a job and its inputs; secret ones are masked."""
    from resolute.cli.project import settings
    from resolute.cli.terminal import pretty, print_json, shown
    from resolute.jobs import find_job, job_activity

    found = settings(common)
    stored = find_job(job, found)
    activity = job_activity(stored.main, found.folder)
    secret = {name for name, parameter in activity.parameters.items() if parameter.is_secret}
    inputs = {name: _masked(value) if name in secret else value for name, value in stored.input.items()}
    takes = {
        name: "required" if parameter.is_required else parameter.default
        for name, parameter in activity.parameters.items()
    }
    values = {"name": stored.name, "main": stored.main, "env": list(stored.env), "file": str(stored.file)}
    if common.json:
        print_json({**values, "input": inputs, "takes": takes})
        return
    for name, value in values.items():
        text = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name + ':':<6} {shown(text)}")
    click.echo(f"input: {pretty(inputs)}")
    click.echo(f"takes: {pretty(takes)}")


def _masked(value: Any) -> str:
    """A secret input as it may be shown: the name of a variable as it is, anything else masked."""
    from resolute.secrets import mask

    text = str(value)
    return text if text.startswith("$") else mask(text)
