"""`resolute runs`: list runs, show what one has done, and give orders to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from resolute.engine import SignalOutcome

STATUSES: Final = ("queued", "running", "waiting", "succeeded", "failed", "cancelled", "needs_attention")


@click.group()
def runs() -> None:
    """List runs, show what one has done, cancel, retry or answer one, and prune those that are over.

    RUN is the id of a run. Of an id that Resolute made, 6 characters of its beginning or end are enough.
    """


@runs.command("list")
@click.option("--flow", metavar="FLOW", help="Only runs of this flow.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs with this status.")
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="At most this many.")
@click.option("--follow", "-f", is_flag=True, help="Go on showing what changes, until Ctrl-C.")
@click.pass_obj
def list_runs(common: Common, flow: str | None, status: str | None, limit: int, follow: bool) -> int:
    """List runs, newest first."""
    from resolute.cli import runs_list
    from resolute.engine import RunQuery

    return runs_list.list_runs(common, RunQuery(flow, status, limit), follow=follow)


@runs.command("show")
@click.argument("run_id", metavar="RUN")
@click.option("--all", "whole", is_flag=True, help="Show every round, item, decision and error.")
@click.option("--follow", "-f", is_flag=True, help="Go on until it has ended; the exit code is 0 if it succeeded.")
@click.option("--value", metavar="POSITION", help="Print this output alone, in full, or run.input, run.output.")
@click.pass_obj
def show_run(common: Common, run_id: str, whole: bool, follow: bool, value: str | None) -> int:
    """Show where a run is, what it waits for, what it did and what that came to."""
    from resolute.cli import runs_show

    if value is None:
        return runs_show.show_run(common, run_id, whole=whole, follow=follow)
    if whole or follow:
        raise click.UsageError("--value prints one value: it goes with neither --all nor --follow.")
    return runs_show.show_value(common, run_id, value)


@runs.command("cancel")
@click.argument("run_id", metavar="RUN")
@click.option("--by", metavar="NAME", help="Who says so; by default who is logged in.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it stands in the run.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until it has ended and is undone.")
@click.pass_obj
def cancel_run(common: Common, run_id: str, by: str | None, reason: str, wait: bool) -> int:
    """End a run: a page on its way settles first, and what was done is undone.

    Exit code 1 when something could not be undone.
    """
    from resolute.cli import runs_orders

    return runs_orders.cancel_run(common, run_id, by=by, reason=reason, wait=wait)


@runs.command("retry")
@click.argument("run_id", metavar="RUN")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Stay until it has ended, print its output.")
@click.pass_obj
def retry_run(common: Common, run_id: str, wait: bool) -> int:
    """Take a failed run, or one that needs attention, up again at what failed. A worker has to run."""
    from resolute.cli import runs_orders

    return runs_orders.retry_run(common, run_id, wait=wait)


@runs.command("signal")
@click.argument("run_id", metavar="RUN")
@click.argument("gate", metavar="[GATE]", required=False)
@click.option("--approve", is_flag=True, help="Let the run go on.")
@click.option("--reject", is_flag=True, help="Say no; the run fails unless its flow says otherwise.")
@click.option("--by", metavar="NAME", help="Who answers; by default who is logged in.")
@click.option("--reason", metavar="TEXT", default="", help="Why.")
@click.option("--data", metavar="JSON", help="What else the flow shall know.")
@click.option("--data-file", metavar="FILE", help="The same from a file; - reads standard input.")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Stay until it has ended, print its output.")
@click.pass_obj
def signal_run(
    common: Common,
    run_id: str,
    gate: str | None,
    approve: bool,
    reject: bool,
    by: str | None,
    reason: str,
    data: str | None,
    data_file: str | None,
    wait: bool,
) -> int:
    """Answer a gate of a run, reached or not.

    GATE is its key, or its position where several wait under that key; it may be left out where only one waits.
    """
    from resolute.cli import runs_orders

    if approve == reject:
        raise click.UsageError("Give one of --approve and --reject.")
    if data is not None and data_file is not None:
        raise click.UsageError("Give one of --data and --data-file.")
    outcome: SignalOutcome = "approved" if approve else "rejected"
    asked = runs_orders.Answer(gate, outcome, by, reason, data, data_file)
    return runs_orders.signal_run(common, run_id, asked, wait=wait)


@runs.command("prune")
@click.option("--older-than", metavar="TIME", help="Runs that ended longer ago: 30d, 12h, 8w.")
@click.option("--keep", type=click.IntRange(0, 10**9), metavar="N", help="Runs beyond the newest N of their flow.")
@click.option("--flow", metavar="FLOW", help="Only runs of this flow.")
@click.option("--dry-run", is_flag=True, help="Say how many they are, and change nothing.")
@click.option("--vacuum", is_flag=True, help="Make the store smaller afterwards; needs it without a worker.")
@click.pass_obj
def prune_runs(
    common: Common, older_than: str | None, keep: int | None, flow: str | None, dry_run: bool, vacuum: bool
) -> int:
    """Take finished runs out of the store with their journals. Rows of the incident log stay.

    With --older-than and --keep, runs go that either of them names; with neither, those that the settings keep_days
    and keep_runs name, as a worker does it by itself. A run stays while it is unfinished, needs attention, has a page
    that is open or on its way, or has a parent or child that is unfinished.
    """
    from resolute.cli import runs_prune

    length = None if older_than is None else runs_prune.duration(older_than)
    return runs_prune.prune_runs(common, runs_prune.Asked(length, keep, flow, dry_run, vacuum))
