"""Signals, retries and cancels of a client: over the worker's socket, without a worker, and from another process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resolute import (
    Client,
    Flow,
    Retry,
    Run,
    Worker,
    WorkerConfig,
    activity,
    calls,
    current,
    flow,
    input_data,
    item,
    manual,
    output,
    steps,
)
from resolute.engine import FINISHED, NodeView, RunView
from resolute.engines.embedded import socket as sockets
from resolute.engines.embedded.files import FileEngine
from resolute.engines.embedded.owner import holder
from resolute.engines.embedded.socket import view_from_json, view_to_json
from resolute.engines.embedded.store_engine import RUN_OUTPUT
from resolute.errors import EngineError, InputError, RunFailed, RunNotFound

DEADLINE_S = 30.0
OPEN = asyncio.Event()
UNDONE: list[str] = []
BROKEN = {"broken"}


@activity
async def wait_until_open() -> str:
    await OPEN.wait()
    return "open"


@activity
def greet(host: str) -> str:
    return f"{host} is up"


@activity
def take_back(text: str) -> None:
    UNDONE.append(text)


@activity(retry=Retry(attempts=1))
def fails_while_broken() -> str:
    if BROKEN:
        raise ValueError("not mended yet")
    return f"mended in attempt {current().attempt}"


@activity
def fill(size: int) -> str:
    return "x" * size


gated: Flow = flow("gated").triggered_by(manual()).then(wait_until_open()).then_gate("approve").build()
hosts: Flow = (
    flow("hosts")
    .triggered_by(manual())
    .then_each(
        "each", over=input_data("hosts"), body=steps(greet(host=item())).then_gate("approve", on_reject="continue")
    )
    .build()
)
undoing: Flow = (
    flow("undoing")
    .triggered_by(manual())
    .then(greet(host="db").undo(take_back(text=output("greet"))))
    .then_gate("approve")
    .build()
)
mended: Flow = flow("mended").triggered_by(manual()).then(fails_while_broken()).build()
large: Flow = flow("large").triggered_by(manual()).then(fill(size=input_data("size"))).build()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """What the flows share with the tests."""
    global OPEN
    OPEN = asyncio.Event()
    UNDONE.clear()
    BROKEN.add("broken")


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/resolute.db"


@asynccontextmanager
async def worker(store: str) -> AsyncIterator[Worker]:
    async with Worker(WorkerConfig(engine=store), flows=[gated, hosts, undoing, mended, large]) as worker:
        yield worker


@asynccontextmanager
async def client(store: str) -> AsyncIterator[Client]:
    async with asyncio.timeout(DEADLINE_S), Client.connect(store) as client:
        yield client


async def waits(run: Run, key: str = "approve", *, times: int = 1) -> None:
    """Return once the run waits at a gate so many times, and nothing of it is in memory."""
    while True:
        view = await run.get()
        assert not view.is_finished, view.error
        waiting = [node for node in view.nodes if (node.kind, node.key, node.status) == ("gate", key, "waiting")]
        if view.status == "waiting" and len(waiting) == times:
            return
        await asyncio.sleep(0)


async def elsewhere(store: str, order: str) -> str:
    """What a program in another process prints, in which `client` is one of this store."""
    program = f"""
import asyncio
from resolute import Client

async def main():
    async with Client.connect({store!r}) as client:
        print({order})

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode().strip()


ANSWER = 'await client.signal("one", "approve", by="ann", reason="looks good", data={"n": 1})'


async def test_gate_that_was_reached_is_answered_from_another_process(store: str) -> None:
    """Over the worker's socket; the run goes on with who, why and what."""
    OPEN.set()
    async with worker(store), client(store) as asked:
        run = await asked.start("gated", run_id="one")
        await waits(run)
        await elsewhere(store, ANSWER)
        answer = (await run.result())["approve"]
    assert (answer["outcome"], answer["by"], answer["reason"], answer["data"]) == (
        "approved",
        "ann",
        "looks good",
        {"n": 1},
    )


async def test_answer_that_comes_first_is_kept_for_its_gate(store: str) -> None:
    """The flow has not come so far; it finds the answer when it does."""
    async with worker(store), client(store) as asked:
        run = await asked.start("gated", run_id="one")
        await elsewhere(store, ANSWER)
        assert [node.status for node in (await run.get()).nodes if node.kind == "signal"] == ["waiting"]
        OPEN.set()
        assert (await run.result())["approve"]["by"] == "ann"


@pytest.mark.parametrize("has_begun", [True, False])
async def test_answer_without_a_worker_waits_in_the_file(store: str, has_begun: bool) -> None:
    """Whether the run has begun or only lies there; the worker that is started later takes it."""
    OPEN.set()
    async with client(store) as asked:
        if has_begun:
            async with worker(store):
                await waits(await asked.start("gated", run_id="one"))
        run = asked.run("one") if has_begun else await asked.start("gated", run_id="one")
        await elsewhere(store, ANSWER)
        assert not (await run.get()).is_finished
        async with worker(store):
            assert (await run.result())["approve"]["reason"] == "looks good"


async def test_gate_in_an_each_is_named_by_its_position(store: str) -> None:
    """Each item gets its own answer."""
    async with worker(store), client(store) as asked:
        run = await asked.start("hosts", {"hosts": ["a", "b"]})
        await waits(run, times=2)
        await asked.signal(run.id, "each[1]/approve", "rejected", by="bob")
        await asked.signal(run.id, "each[0]/approve", by="ann")
        results = (await run.result())["each"]["results"]
    assert [(each["approve"]["outcome"], each["approve"]["by"]) for each in results] == [
        ("approved", "ann"),
        ("rejected", "bob"),
    ]


@pytest.mark.parametrize("has_worker", [True, False])
async def test_gate_that_the_flow_does_not_have_is_refused(store: str, has_worker: bool) -> None:
    """A signal is never lost silently; without a worker, what the run was begun under tells its gates."""
    OPEN.set()
    async with client(store) as asked:
        async with worker(store):
            run = await asked.start("gated", run_id="one")
            await waits(run)
        async with worker(store) if has_worker else asyncio.timeout(None):
            with pytest.raises(EngineError, match=r'no gate "aprove"\. Did you mean "approve"'):
                await run.signal("aprove")
            with pytest.raises(InputError, match="JSON"):
                await run.signal("approve", data=object())
            with pytest.raises(RunNotFound):
                await asked.signal("two", "approve")
            assert not [node for node in (await run.get()).nodes if node.kind == "signal"]


@pytest.mark.parametrize("has_worker", [True, False])
async def test_run_that_has_ended_takes_no_answer(store: str, has_worker: bool) -> None:
    """The text says what became of it."""
    async with client(store) as asked:
        async with worker(store):
            run = await asked.start("gated")
            await run.cancel()
        async with worker(store) if has_worker else asyncio.timeout(None):
            with pytest.raises(EngineError, match="has cancelled already"):
                await run.signal("approve")


async def test_failed_run_goes_on_where_it_failed(store: str) -> None:
    """Over the socket; without a worker it is refused, with what to do."""
    async with client(store) as asked:
        async with worker(store):
            run = await asked.start("mended")
            with pytest.raises(RunFailed, match="not mended yet"):
                await run.result()
        with pytest.raises(EngineError, match=r"no worker runs on .* Start one"):
            await run.retry()
        BROKEN.clear()
        async with worker(store):
            await run.retry()
            assert await run.result() == {"fails_while_broken": "mended in attempt 2"}
            assert (await run.get()).retries == 1
            with pytest.raises(EngineError, match="has not failed"):
                await run.retry()


@pytest.mark.parametrize("has_worker", [True, False])
async def test_cancelled_run_is_undone(store: str, has_worker: bool) -> None:
    """At once where a worker runs; else it is left to the next one, and the run says so."""
    async with client(store) as asked:
        async with worker(store):
            run = await asked.start("undoing")
            await waits(run)
            if has_worker:
                await run.cancel(by="ann", reason="wrong host")
                with pytest.raises(RunFailed, match="cancelled by ann: wrong host"):
                    await run.result()
        if not has_worker:
            left = await run.cancel(by="ann")
            assert (left.status, left.waiting_for, UNDONE) == ("queued", "a worker, to be cancelled and undone", [])
            async with worker(store):
                with pytest.raises(RunFailed, match="cancelled by ann"):
                    await run.result()
    assert UNDONE == ["db is up"]


def address(folder: Path) -> Path:
    """Where the worker listens."""
    found = holder(folder / "resolute.db")
    assert found is not None
    assert found.address is not None
    return Path(found.address)


async def test_answer_of_the_socket_holds_no_journal(store: str) -> None:
    """A run may have thousands of entries; whoever wants them reads the file."""
    async with client(store) as asked:
        async with worker(store):
            run = await asked.start("undoing")
            await waits(run)
        async with Worker(WorkerConfig(engine=store), flows=[large]):
            cancelled = await run.cancel()
        assert (cancelled.status, cancelled.nodes) == ("cancelled", ())
        assert (await asked.get(run.id)).nodes != ()


@pytest.mark.parametrize("size", [10, 100_000, 300_000])
async def test_output_of_any_size_comes_back(
    store: str, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece, and never as a line that is longer than the socket takes."""
    monkeypatch.setattr(calls, "ANSWERED_CHARS", 150_000)
    monkeypatch.setattr(sockets, "LINE_BYTES", 200_000)
    async with worker(store), client(store) as asked:
        run = await asked.start("large", {"size": size})
        assert (await run.result())["fill"] == "x" * size
        answered = view_from_json(await sockets.call(address(tmp_path), "result", {"run_id": run.id})).output
        assert isinstance(answered, dict)
        assert ("fill" in answered) == (size < 150_000)


async def test_large_value_is_read_by_its_position(store: str, tmp_path: Path) -> None:
    """The journal tells its size; the run's own output has a name, too."""
    async with worker(store), client(store) as asked:
        run = await asked.start("large", {"size": 100_000})
        await run.result()
    engine = FileEngine(tmp_path / "resolute.db")
    seen: Any = (await engine.look(run.id)).output
    assert seen["large_value"]["characters"] > 100_000
    assert await engine.value(run.id, "fill") == "x" * 100_000
    assert await engine.value(run.id, RUN_OUTPUT) == {"fill": "x" * 100_000}
    with pytest.raises(EngineError, match=r'nothing at the position "fil"\. Did you mean fill'):
        await engine.value(run.id, "fil")


def test_everything_of_a_run_crosses_the_socket() -> None:
    """Every field of a run and its entries comes back as it was."""
    at = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    node = NodeView(
        "each[3]/page", "node", "page", "waiting", "pagerduty.trigger_event", 2, {"a": [1]}, 1.5, "503", 7, {"n": 1}
    )
    times = {"ready_at": at, "finished_at": at + timedelta(microseconds=1), "due_at": at + timedelta(days=1)}
    run = RunView(
        id="top/subs[0]",
        flow="deploy",
        status="needs_attention",
        trigger="child:1",
        created_at=at,
        input={"x": None},
        output="y",
        error="changed",
        error_key="page",
        waiting_for="a worker",
        due_at=at,
        finished_at=at,
        retries=3,
        deadline_at=at + timedelta(hours=1),
        nodes=(node, NodeView("n", "node", "n", "done", **times)),
    )
    assert view_from_json(view_to_json(run)) == run
    assert run.status in FINISHED
