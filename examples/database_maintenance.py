"""Maintain the databases that are due, after somebody has said yes: a window for each, a run for each, no alert lost.

export PAGERDUTY_ROUTING_KEY=... INVENTORY=databases.json WINDOWS=/run/maintenance
export MAINTENANCE_COMMAND="vacuumdb --all --analyze --dbname"               # the address is put behind it
resolute worker examples/database_maintenance.py
resolute runs signal RUN approve --approve --by ada

The inventory is a list such as [{"name": "shop", "address": "db-1.internal:5432", "due": "2026-03-01"}]. A database
has a window while a file of its name stands in the folder WINDOWS, which monitors look into before they page.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from datetime import date, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from resolute import (
    ActivityError,
    Retry,
    activity,
    cursor,
    env,
    flow,
    input_data,
    item,
    manual,
    now,
    output,
    schedule,
    secret,
    text,
)
from resolute.providers import pagerduty

#: Databases that are maintained at the same time.
AT_ONCE = 2


class Database(BaseModel):
    """One line of the inventory.

    Attributes:
        address: "host:port".
        due: the day from which on it is to be maintained.
    """

    name: str
    address: str
    due: date


class Due(BaseModel):
    """What is to be done now.

    Attributes:
        until: all databases that were due until then are among them.
    """

    databases: list[Database]
    until: date


@activity
def find_due(inventory: str, after: date, today: datetime) -> Due:
    """The databases that became due after that day, until today."""
    known = [Database.model_validate(line) for line in json.loads(Path(inventory).read_text(encoding="utf-8"))]
    due = [database for database in known if after < database.due <= today.date()]
    return Due(databases=due, until=max((database.due for database in due), default=after))


@activity
def open_window(folder: str, name: str) -> str:
    """Begin the window of a database; beginning it twice does no harm."""
    window = Path(folder, name)
    window.parent.mkdir(parents=True, exist_ok=True)
    window.touch()
    return str(window)


@activity
def close_window(window: str) -> None:
    """End the window of a database, if there is one."""
    Path(window).unlink(missing_ok=True)


@activity(timeout=timedelta(hours=2))
async def maintain(command: str, address: str) -> str:
    """Run the command on one database and return what it printed last. One that has failed is not repeated."""
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command), address, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:  # the attempt was given up, or the run cancelled
            process.kill()
    said = printed.decode(errors="replace").strip()[-500:]
    if process.returncode:
        raise ActivityError(f"{command} {address} ended with {process.returncode}: {said}", permanent=True)
    return said


@activity(timeout=timedelta(seconds=15), retry=Retry(attempts=5))
async def connect(address: str) -> None:
    """Fails unless "host:port" takes a connection."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(10):
        _, writer = await asyncio.open_connection(host, int(port))
    writer.close()


# fmt: off
maintain_database = (
    flow("maintain-database")
    .triggered_by(manual("database"))
    .accepts(Database)
    .with_timeout(timedelta(hours=6))
    .then(connect(address=input_data("address")).as_("connect_before"))
    .then(maintain(
        command=env("MAINTENANCE_COMMAND", default="vacuumdb --all --analyze --dbname"),
        address=input_data("address"),
    ))
    .then(connect(address=input_data("address")).as_("connect_after"))
    .returns(output("maintain"))
    .build()
)

database_maintenance = (
    flow("database-maintenance")
    .triggered_by(schedule("0 2 * * SUN", timezone="Europe/Berlin"), manual("maintain"))
    .with_cursor("done_until", date, start=date(2026, 1, 1))
    .then(find_due(inventory=env("INVENTORY"), after=cursor("done_until"), today=now()).as_("due"))
    .when(lambda state: bool(state.get("due", Due).databases))
        .then_gate("approve", timeout=timedelta(hours=12))
        # A window for each, closed again should anything fail or be cancelled
        .then_each(
            "windows",
            over=output("due.databases"),
            body=open_window(folder=env("WINDOWS"), name=item("name"))
                .undo(close_window(window=output("open_window")).as_("close_early")),
        )
        .then_children("maintained", maintain_database, inputs=output("due.databases"), limit=AT_ONCE)
        .then_each("closed", over=output("windows.results"), body=close_window(window=item("open_window")))
        .then_advance("done_until", to=output("due.until"))
    .end_when()
    .on_failure(pagerduty.trigger_event(
        routing_key=secret("PAGERDUTY_ROUTING_KEY"),
        summary=text("Database maintenance failed: {error}", error=input_data("error")),
        severity="warning",
        dedup_key="database-maintenance",
        custom_details={"run": input_data("run_id"), "errors": input_data("errors")},
    ))
    .build()
)
# fmt: on

account = pagerduty.PagerDutyProvider()
