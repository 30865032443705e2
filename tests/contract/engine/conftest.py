"""The contract of the engine: the same promises, in the same words, on every engine and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.engine.machine import Machine
from tests.contract.engine.machines import MemoryMachine, PostgresMachine, SqliteMachine
from tests.contract.engine.patient_loop import PatientLoop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Every test here runs in virtual time."""
    return {"virtual": PatientLoop}


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.ci_only)])
async def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machine]:
    """A computer on which no worker has run yet."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PatientLoop)
    made: Machine
    if request.param == "postgres":
        made = PostgresMachine(loop, request.getfixturevalue("postgres"))
    else:
        made = MemoryMachine(loop) if request.param == "memory" else SqliteMachine(loop, tmp_path)
    yield made
    await made.down()
