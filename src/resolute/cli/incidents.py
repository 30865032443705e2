"""`resolute incidents`: the incident log, what was sent to a paging service and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from resolute.ledger.row import Row

STATUSES: Final = ("pending", "sending", "accepted", "rejected", "undelivered", "superseded", "expired", "cancelled")


@click.command()
@click.argument("row_id", metavar="[ID]", required=False, type=click.IntRange(min=1))
@click.option("--dedup-key", metavar="KEY", help="Only events of this alert.")
@click.option("--status", type=click.Choice(STATUSES), help="Only rows with this status.")
@click.option("--run", "run_id", metavar="RUN", help="Only events of this run.")
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="At most this many.")
@click.pass_obj
def incidents(
    common: Common, row_id: int | None, dedup_key: str | None, status: str | None, run_id: str | None, limit: int
) -> None:
    """List what was sent to PagerDuty and what came of it, or show the row with this ID.

    Events that are not settled, or were refused or not delivered, come first; then the newest.
    """
    import asyncio

    from resolute.cli.project import ledger_reader
    from resolute.cli.terminal import print_json, print_table, when
    from resolute.cli.views import incident_json
    from resolute.engines.embedded.store import LedgerQuery
    from resolute.errors import EngineError

    store = ledger_reader(common)
    if row_id is not None:
        row = asyncio.run(store.ledger_row(row_id))
        if row is None:
            raise EngineError(f"The incident log has no row {row_id}. `resolute incidents` lists the newest.")
        if common.json:
            print_json(incident_json(row))
        else:
            _print_row(row)
        return
    rows = asyncio.run(store.ledger(LedgerQuery(dedup_key, status, run_id, limit)))
    if common.json:
        print_json([incident_json(row) for row in rows])
        return
    if not rows:
        click.echo("Nothing was sent." if (dedup_key, status, run_id) == (None, None, None) else "No such events.")
        return
    print_table(
        ("ID", "DECIDED (UTC)", "ACTION", "STATUS", "TITLE", "DEDUP KEY", "TRIES", "REMARKS"),
        [
            (r.id, when(r.created_at), r.action, r.status, r.title, r.dedup_key, r.attempts, "; ".join(_remarks(r)))
            for r in rows
        ],
        cut=("TITLE", "DEDUP KEY", "REMARKS"),
    )


def _remarks(row: Row) -> list[str]:
    """What a reader of the list should know: why it is not accepted, and what was mended."""
    reason = "" if row.status == "accepted" else row.message or row.error_message
    return [text for text in (reason, *row.remarks) if text]


def _print_row(row: Row) -> None:
    from resolute.cli.terminal import pretty, shown, when
    from resolute.cli.views import incident_json

    values = incident_json(row)
    event = values.pop("event")
    for name in ("created_at", "sent_at", "due_at", "settled_at"):
        values[name] = f"{when(values[name])} UTC" if values[name] else ""
    values["remarks"] = "; ".join(row.remarks)
    for name, value in values.items():
        if value not in ("", None, False, 0.0):
            click.echo(f"{name.replace('_', ' ') + ':':<17} {shown(value)}")
    click.echo(f"\nevent: {pretty(event)}")
