"""What `resolute doctor` says of the worker that runs, by the worker's own word."""

from __future__ import annotations

import asyncio
from pathlib import Path

from resolute.config import Sourced
from resolute.doctor.configuration import needs
from resolute.doctor.finding import Finding
from resolute.doctor.subject import Subject
from resolute.doctor.worker_health import FIXES, health
from resolute.health import Health
from resolute.model.activity import activity
from resolute.model.flow import flow
from resolute.model.trigger import manual
from resolute.model.webhook import webhook
from resolute.ports import Ports
from resolute.signatures import unsigned
from resolute.worker import Worker, WorkerConfig
from tests.integration.sqlite_file import small_disk


@activity
async def one() -> int:
    return 1


COUNTING = flow("counting").triggered_by(manual()).then(one()).build()


def found(path: Path, dashboard: str | None) -> list[Finding]:
    """The findings while a worker runs on the store; its dashboard is where it says, or where the test says."""

    async def ask() -> list[Finding]:
        config = WorkerConfig(engine=f"sqlite:///{path}", dashboard="127.0.0.1:0")
        async with Worker(config, flows=[COUNTING], ports=Ports(environ={})) as up:
            address = str(up.dashboard_url).removeprefix("http://") if dashboard is None else dashboard
            subject = Subject({}, {"dashboard": Sourced(address, "test")}, store=path)
            return await asyncio.to_thread(health, subject)

    return asyncio.run(ask())


def test_worker_that_is_well(tmp_path: Path) -> None:
    """What it looked at is named."""
    [finding] = found(tmp_path / "resolute.db", None)
    assert finding.result == "ok"
    assert "is well: journal, disk, " in finding.text


def test_worker_that_is_not(tmp_path: Path) -> None:
    """Each check that fails is a problem with its own fix."""
    with small_disk(tmp_path) as disk:
        [finding] = found(disk / "resolute.db", None)
    assert (finding.result, finding.fix) == ("problem", FIXES["disk"])
    assert finding.text.startswith("disk: ")


def test_nobody_to_ask(tmp_path: Path) -> None:
    """A worker that shows nothing or is not up is no problem; one that does not answer where it should is."""
    assert [each.result for each in found(tmp_path / "resolute.db", "")] == ["not checked"]
    [silent] = found(tmp_path / "resolute.db", "127.0.0.1:1")
    assert (silent.result, silent.text) == ("problem", "No worker answers at 127.0.0.1:1: Connection refused.")
    assert health(Subject({}, store=tmp_path / "none.db"))[0].result == "not checked"


def test_every_check_of_health_has_its_fix(tmp_path: Path) -> None:
    """A new one needs one."""

    async def names() -> set[str]:
        async with Worker(WorkerConfig(engine="memory:"), flows=[COUNTING], ports=Ports(environ={})) as up:
            return {check.name for check in (await Health(up.engine, None).look()).checks}

    assert asyncio.run(names()) == set(FIXES)


def test_what_listeners_lack_is_told_before_the_worker_starts() -> None:
    """An address for webhooks, a token for a dashboard that others reach."""
    hooked = flow("hooked").triggered_by(webhook("/hook", signature=unsigned)).then(one()).build()
    worker = Worker(WorkerConfig(dashboard="0.0.0.0:8030"), flows=[hooked], ports=Ports(environ={}))
    texts = [finding.text + finding.fix for finding in needs(Subject({}, worker=worker))]
    assert any("nothing says where to receive it" in text for text in texts)
    assert any("there is no token" in text for text in texts)
