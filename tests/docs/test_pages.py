"""What README and docs show runs, and fits a strict type checker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from resolute.clock import SystemClock
from resolute.simulator import PagerDutySimulator
from resolute.simulator.pagerduty.server import SimulatorServer
from tests.docs.page import PAGES, ROOT, Block, Reader, blocks_of

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
WITH_BLOCKS = sorted({block.page for block in BLOCKS})
#: Pages for readers who have set up nothing yet.
FROM_NOTHING = {ROOT / "README.md", ROOT / "docs" / "tutorial.md"}
#: Says that a block is a Python file, or the end of one.
KEPT = re.compile(r"(?:save|append) (\w+)\.py")


@pytest.fixture
def account() -> Iterator[dict[str, str]]:
    """What a reader with a PagerDuty account has set; the account is simulated."""
    simulator = PagerDutySimulator(SystemClock(), processing_delay=timedelta(0))
    with SimulatorServer(simulator) as server:
        yield {
            "PAGERDUTY_EVENTS_URL": server.url,
            "PAGERDUTY_API_URL": server.url,
            "PAGERDUTY_SERVICE_KEY": simulator.routing_key,
            "PAGERDUTY_ROUTING_KEY": simulator.routing_key,
            "PAGERDUTY_API_KEY": simulator.api_key,
        }


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_can_be_followed_from_top_to_bottom(page: Path, account: dict[str, str], tmp_path: Path) -> None:
    """Each block does what the page says, in the order in which a reader meets them."""
    with Reader(tmp_path, {} if page in FROM_NOTHING else account) as reader:
        for block in blocks_of(page):
            reader.follow(block)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.run == "skip"], ids=lambda block: block.place)
def test_only_what_needs_the_network_is_not_run(block: Block) -> None:
    """A command that is skipped installs something, or starts make."""
    assert re.search(r"pip install|^make ", block.text, re.MULTILINE)


def test_python_of_the_pages_satisfies_a_strict_type_checker(tmp_path: Path) -> None:
    """What is copied into a typed project is no error there."""
    for page in WITH_BLOCKS:
        stem = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix(""))).lower()
        blocks = [block for block in blocks_of(page) if block.language == "python"]
        saved = {block: KEPT.fullmatch(block.run) for block in blocks}
        names = "|".join({found[1] for found in saved.values() if found}) or "-"
        for block, found in saved.items():
            text = re.sub(rf"^from ({names}) import", rf"from {stem}_\1 import", block.text, flags=re.MULTILINE)
            file = tmp_path / f"{stem}_{found[1] if found else f'line_{block.line}'}.py"
            file.write_text((file.read_text(encoding="utf-8") if file.exists() else "") + text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache/docs"), "."]
    environ = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    checked = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
