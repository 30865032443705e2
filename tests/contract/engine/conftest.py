"""The contract of the engine: the same promises, in the same words, on every engine and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.engine.lacks import LACKS, TEST_SERVER_LACKS
from tests.contract.engine.machine import Machine
from tests.contract.engine.machines import MemoryMachine, PostgresMachine, SqliteMachine
from tests.contract.engine.patient_loop import PatientLoop
from tests.contract.engine.real_time import REAL_TIME
from tests.temporal_server import grave, spare_servers, temporal_server, temporal_test_server

__all__ = ["grave", "spare_servers", "temporal_server", "temporal_test_server"]

#: What the machines of a test run on.
MACHINES = [
    "memory",
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.ci_only),
    pytest.param("temporal", marks=pytest.mark.ci_only),
    pytest.param("temporal-moved", marks=pytest.mark.ci_only),
]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Every test here runs in virtual time, until a machine says otherwise."""
    return {"virtual": PatientLoop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that needs what its machine cannot do is left out; how many are is told."""
    left = [item for item in items if "[temporal" in item.name and is_left_out(item)]
    if left:
        items[:] = [item for item in items if item not in set(left)]
        config.hook.pytest_deselected(items=left)


def is_left_out(item: pytest.Item) -> bool:
    """Whether a test has no place on a machine with Temporal."""
    if "[temporal-moved" in item.name:
        return bool(needs(item) & (LACKS.keys() | TEST_SERVER_LACKS.keys()))
    here = item.name.partition("[")[0] in REAL_TIME or needs(item) & TEST_SERVER_LACKS.keys()
    return bool(needs(item) & LACKS.keys()) or not here


def needs(item: pytest.Item) -> set[str]:
    """What the engine has to be able to for this test."""
    return {name for mark in item.iter_markers("needs") for name in mark.args}


@pytest.fixture(params=MACHINES)
async def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machine]:
    """A computer on which no worker has run yet."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PatientLoop)
    made: Machine
    if request.param in ("temporal", "temporal-moved"):
        from tests.contract.engine.temporal_machine import SkippingMachine, TemporalMachine  # needs an extra

        grave, patch = request.getfixturevalue("grave"), request.getfixturevalue("monkeypatch")
        if request.param == "temporal":
            made = TemporalMachine.on(loop, request.getfixturevalue("temporal_server"), grave, patch)
        else:
            made = await SkippingMachine.of(loop, request.getfixturevalue("temporal_test_server"), grave, patch)
    elif request.param == "postgres":
        made = PostgresMachine(loop, request.getfixturevalue("postgres"))
    else:
        made = MemoryMachine(loop) if request.param == "memory" else SqliteMachine(loop, tmp_path)
    yield made
    await made.down()
