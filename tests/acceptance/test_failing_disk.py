"""A worker on a disk that is slow, stops taking writes, or cannot say that a write is on it: nothing said is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from resolute.engine import RunQuery
from tests.acceptance.command import Desk, Running

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only]

FLOWS = """
from datetime import timedelta
from resolute import Worker, activity, flow, input_data, manual, secret
from resolute.providers import pagerduty

@activity
async def look(key: str) -> str:
    return key

page = (
    flow("page")
    .triggered_by(manual())
    .then(look(key=input_data("key")))
    .then(
        pagerduty.trigger_event(
            routing_key=secret("OPS_KEY"), summary="down", severity="critical", dedup_key=input_data("key")
        )
    )
    .build()
)
worker = Worker(flows=[page], providers=[pagerduty.PagerDutyProvider()])
"""


class FailingDisk:
    """What the disk of the worker is like; see failing_disk.c."""

    def __init__(self, mode: Path) -> None:
        self._mode = mode
        self._log = mode.with_name(f"{mode.name}.log")

    def be(self, mode: str) -> None:
        self._mode.write_text(mode)

    @property
    def felt(self) -> int:
        """How many calls were slow or failed."""
        return len(self._log.read_text().splitlines()) if self._log.exists() else 0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library; a machine without a compiler skips, but not where everything has to be tried."""
    compiler = shutil.which("cc")
    if compiler is None and "CI" not in os.environ:
        pytest.skip("needs a C compiler")
    made = tmp_path_factory.mktemp("library") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run([compiler or "cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", made, source, "-ldl"], check=True)
    return made


@pytest.fixture
def disk(resolute: Desk, library: Path) -> FailingDisk:
    """A healthy disk, at first."""
    mode = resolute.folder / "disk"
    resolute.write("flows.py", FLOWS)
    resolute.environ |= {"RESOLUTE_MODULE": "flows.py", "OPS_KEY": resolute.key, "FAILING_DISK": str(mode)}
    resolute.environ["LD_PRELOAD"] = str(library)
    return FailingDisk(mode)


def up(desk: Desk) -> Running:
    worker = desk.start("worker")
    worker.wait_for_line("the worker is up")
    return worker


def page(desk: Desk, key: str) -> Running:
    """Ask for a run that pages; the command itself has a healthy disk."""
    return desk.start("run", "page", "--input", f"key={key}", "--run-id", key, LD_PRELOAD=None)


def statuses(desk: Desk) -> dict[str, str]:
    return {row.id: row.status for row in desk.read(lambda store: store.runs(RunQuery()))}


def test_pages_leave_over_a_slow_disk(resolute: Desk, disk: FailingDisk) -> None:
    """Each fsync takes 300 ms: every page goes out, once, and the runs end."""
    up(resolute)
    disk.be("slow")
    asked = [page(resolute, key) for key in ("a", "b", "c")]
    assert [command.end().code for command in asked] == [0, 0, 0]
    assert sorted(resolute.alerts) == ["a", "b", "c"]
    assert resolute.requests == 3
    assert disk.felt


@pytest.mark.parametrize(("mode", "told"), [("fsync", "SQLITE_IOERR_FSYNC"), ("write", "SQLITE_IOERR_WRITE")])
def test_disk_that_fails_ends_the_worker(resolute: Desk, disk: FailingDisk, mode: str, told: str) -> None:
    """With code 3 and the reason, before anything is sent; what was acknowledged is there for the next start."""
    worker = up(resolute)
    assert page(resolute, "before").end().code == 0
    disk.be(mode)
    asked = page(resolute, "during")
    ended = worker.end()
    assert ended.code == 3
    assert told in ended.err
    assert disk.felt
    assert resolute.alerts == ["before"]
    disk.be("healthy")
    up(resolute)
    asked.end()  # its worker ended under it: it was told so, or another took the run up
    assert page(resolute, "during").end().code == 0
    assert statuses(resolute) == {"before": "succeeded", "during": "succeeded"}
    assert resolute.alerts == ["before", "during"]
    assert resolute.requests == 2
