"""A desk for commands whose store is on a PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from resolute.engines.embedded.postgres.reader import PostgresReader
from resolute.postgres.address import postgres_address
from tests.acceptance.command import Desk
from tests.postgres_server import PASSWORD, QUOTED, PostgresServer

T = TypeVar("T")

#: A job with a secret input, and one without.
JOBS = {
    "incident": """
[job]
name = "Create Incident"
main = "create_pagerduty_incident"

[job.input]
title = "Database connection timeout"
service_key = "$SERVICE_KEY"
""",
    "look": '[job]\nname = "Look"\nmain = "flows:look"\n\n[job.input]\nhost = "db-7"\n',
}
FLOWS = """
import asyncio, pathlib
from datetime import timedelta
from resolute import activity, flow, input_data, manual, output, secret
from resolute.providers import pagerduty

account = pagerduty.PagerDutyProvider()

@activity
def look(host: str) -> str:
    with open("calls", "a") as calls:
        calls.write(f"{host}\\n")
    return f"{host} is down"

@activity
async def wait_for_file() -> str:
    pathlib.Path("attempt").touch()
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "went"

@activity
def fill() -> str:
    return "x" * 5_000_000

page = (
    flow("page").triggered_by(manual())
    .then(look(host=input_data("host")))
    .then(pagerduty.trigger_event(
        routing_key=secret("PAGING_KEY"), summary=output("look"), severity="critical", dedup_key="db-1"))
    .build()
)
slow = flow("slow").triggered_by(manual()).then(wait_for_file()).build()
heavy = flow("heavy").triggered_by(manual()).then(fill()).build()
pausing = (
    flow("pausing").triggered_by(manual())
    .then(look(host="a").as_("first")).then_sleep(timedelta(hours=1)).then(look(host="b").as_("second")).build()
)
"""


class PostgresDesk(Desk):
    """A desk with flows in flows.py and a schema of its own on the server."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        super().__init__(folder)
        self.address = server.address()
        self.url = server.url(self.address.schema)
        self._server = server
        self.write("flows.py", FLOWS)
        self.environ |= {"RESOLUTE_STORE": self.url, "RESOLUTE_MODULE": "flows.py", "PAGING_KEY": self.key}

    def write_jobs(self) -> None:
        """Jobs "Create Incident", with a secret input, and "Look"."""
        self.environ["SERVICE_KEY"] = self.key
        for name, text in JOBS.items():
            self.write(f"jobs/{name}.toml", text)

    def read(self, question: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(question(PostgresReader(postgres_address(self.url))))

    @property
    def calls(self) -> list[str]:
        """What the flows' activity was asked to look at."""
        path = self.folder / "calls"
        return path.read_text().split() if path.exists() else []

    def holds(self, secret: str) -> bool:
        """Whether a secret stands in a file here or of the server, its log of changes among them."""
        return super().holds(secret) or secret.encode() in self._server.bytes_of_files()

    @property
    def tells_password(self) -> bool:
        """Whether the server's password was written or said anywhere here."""
        return super().holds(PASSWORD) or super().holds(QUOTED)
