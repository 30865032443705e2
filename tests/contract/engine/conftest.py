"""The contract of the engine: the same promises, in the same words, on every engine and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.engine.held_on_temporal import HELD
from tests.contract.engine.machine import Machine
from tests.contract.engine.machines import MemoryMachine, PostgresMachine, SqliteMachine
from tests.contract.engine.patient_loop import PatientLoop
from tests.temporal_server import temporal_server

__all__ = ["temporal_server"]

#: What the machines of a test run on.
MACHINES = [
    "memory",
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.ci_only),
    pytest.param("temporal", marks=pytest.mark.ci_only),
]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Every test here runs in virtual time, until a machine says otherwise."""
    return {"virtual": PatientLoop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a server with a time of its own only those that need no other; how many are left out is told."""
    left = [item for item in items if "[temporal" in item.name and item.name.partition("[")[0] not in HELD]
    if left:
        items[:] = [item for item in items if item not in set(left)]
        config.hook.pytest_deselected(items=left)


@pytest.fixture(params=MACHINES)
async def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machine]:
    """A computer on which no worker has run yet."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PatientLoop)
    made: Machine
    if request.param == "temporal":
        server = request.getfixturevalue("temporal_server")
        from tests.contract.engine.temporal_machine import TemporalMachine, hurry  # needs an extra

        loop.go_real()
        hurry(request.getfixturevalue("monkeypatch"))
        made = TemporalMachine(loop, server)
    elif request.param == "postgres":
        made = PostgresMachine(loop, request.getfixturevalue("postgres"))
    else:
        made = MemoryMachine(loop) if request.param == "memory" else SqliteMachine(loop, tmp_path)
    yield made
    await made.down()
