"""The owner's socket: for this user alone, and unmoved by whatever a caller does."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from resolute.engines.embedded import socket as sockets
from resolute.engines.embedded.socket import Handler, OwnerGone, OwnerSilent, SocketServer, call, socket_path
from resolute.errors import EngineError, InputError, RunConflict, RunNotFound, StoreError


class Desk:
    """What stands behind the socket: it notes what it is asked."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.go = asyncio.Event()
        self.called = asyncio.Event()
        self.done = asyncio.Event()

    async def result(self, run_id: str) -> Any:
        return await self._work(run_id)

    async def start(self, run_id: str) -> Any:
        return await self._work(run_id)

    async def _work(self, run_id: str) -> Any:
        self.began.append(run_id)
        self.called.set()
        try:
            await self.go.wait()
            self.ended.append(run_id)
        except asyncio.CancelledError:
            self.ended.append(f"{run_id} was dropped")
            raise
        finally:
            self.done.set()
        return {"id": run_id}

    async def echo(self, value: Any = None) -> Any:
        return value

    async def fail(self, kind: str) -> Any:
        errors = {"conflict": RunConflict("taken"), "none": RunNotFound("none"), "late": TimeoutError("late")}
        raise errors.get(kind) or LookupError("not foreseen")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def path(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """The address of a server."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    handlers: dict[str, Handler] = {"result": desk.result, "start": desk.start, "echo": desk.echo, "fail": desk.fail}
    server = SocketServer(socket_path(tmp_path / "resolute.db"), handlers)
    await server.start()
    yield server.path
    await server.stop()
    assert not server.path.exists()


async def raw(path: Path, sent: bytes) -> bytes:
    """The answer to these bytes, with the writing side closed after them."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(sent)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_socket_is_for_this_user_alone(path: Path) -> None:
    """The folder 0700, the socket 0600: what is handed over may hold a key."""
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


@pytest.mark.parametrize("value", [None, 7, "ü \ud83d", float("inf"), [1, {"a": [True]}], "x" * 1_000_000], ids=repr)
async def test_values_come_back_as_they_went(path: Path, value: Any) -> None:
    """Half characters and infinities included."""
    assert await call(path, "echo", {"value": value}) == value


@pytest.mark.parametrize(
    ("kind", "error"),
    [("conflict", RunConflict), ("none", RunNotFound), ("late", TimeoutError), ("other", EngineError)],
)
async def test_errors_arrive_as_what_they_are(path: Path, kind: str, error: type[Exception]) -> None:
    """Also one that nobody foresaw: it costs the call and not the owner."""
    with pytest.raises(error):
        await call(path, "fail", {"kind": kind})
    assert await call(path, "echo", {"value": 1}) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"garbage\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"method": "destroy"}\n',
        b'{"method": ["echo"]}\n',
        b'{"method": "echo", "params": []}\n',
        b'{"method": "echo", "params": {"valu": 1}}\n',
        b'{"method": "start"}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=lambda line: line[:30].decode("latin-1").strip() or "empty",
)
async def test_garbage_is_answered_with_what_was_expected(path: Path, line: bytes) -> None:
    """And the next caller is served."""
    answer = json.loads(await raw(path, line))
    assert answer["error"]["type"] == "EngineError"
    assert "Expected a line of JSON that names a method of: result, start" in answer["error"]["message"]
    assert await call(path, "echo", {"value": 1}) == 1


async def test_half_a_line_is_no_call(path: Path, desk: Desk) -> None:
    """A caller that was cut off in its sentence asked for nothing."""
    assert await raw(path, b'{"method": "start", "params": {"run_id": "x"}}') == b""
    assert not desk.began


async def test_caller_that_says_nothing_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is closed after a while."""
    monkeypatch.setattr(sockets, "REQUEST_S", 0.05)
    reader, writer = await asyncio.open_unix_connection(path)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_oversize_call_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    """By the caller before it is sent; and by the owner, whoever sends it."""
    sent = json.dumps({"method": "echo", "params": {"value": "x" * 5000}}).encode() + b"\n"
    monkeypatch.setattr(sockets, "LINE_BYTES", 1000)
    with pytest.raises(InputError, match="expected 1,000 at most"):
        await call(path, "echo", {"value": "x" * 5000})
    small = SocketServer(path.with_name("small.sock"), {"echo": desk.echo})
    await small.start()
    answer = json.loads(await raw(small.path, sent))
    await small.stop()
    assert "longer than 1,000 bytes" in answer["error"]["message"]


async def test_value_that_is_no_json_is_refused_by_the_caller(path: Path) -> None:
    """With a sentence instead of a traceback."""
    with pytest.raises(InputError, match="cannot be handed to the owner"):
        await call(path, "echo", {"value": object()})


async def go_away(path: Path, method: str, desk: Desk) -> None:
    """Ask, and close the connection before the answer."""
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(json.dumps({"method": method, "params": {"run_id": "one"}}).encode() + b"\n")
    await asyncio.wait_for(desk.called.wait(), 10)
    writer.transport.abort()


async def test_caller_that_goes_away_is_not_waited_for(path: Path, desk: Desk) -> None:
    """A call that only waits ends with its caller."""
    await go_away(path, "result", desk)
    await asyncio.wait_for(desk.done.wait(), 10)
    assert desk.ended == ["one was dropped"]


async def test_what_was_asked_for_is_done_although_the_caller_went_away(path: Path, desk: Desk) -> None:
    """A start or a cancel never stops half-way."""
    await go_away(path, "start", desk)
    assert await call(path, "echo", {"value": 1}) == 1
    assert not desk.ended
    desk.go.set()
    await asyncio.wait_for(desk.done.wait(), 10)
    assert desk.ended == ["one"]


async def test_owner_that_stops_finishes_what_it_began(desk: Desk, tmp_path: Path) -> None:
    """Who started something gets the answer; who only waits learns that the owner went, and asks the next one."""
    server = SocketServer(tmp_path / "s.sock", {"result": Desk().result, "start": desk.start})
    await server.start()
    waiting = asyncio.create_task(call(server.path, "result", {"run_id": "waits"}))
    starting = asyncio.create_task(call(server.path, "start", {"run_id": "starts"}))
    await asyncio.wait_for(desk.called.wait(), 10)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    desk.go.set()
    assert await starting == {"id": "starts"}
    await stopping
    with pytest.raises(OwnerGone):
        await waiting


async def test_nobody_there_is_told_apart_from_gone(tmp_path: Path) -> None:
    """The first may be another machine's owner, the second is asked again."""
    with pytest.raises(OwnerSilent):
        await call(tmp_path / "none.sock", "echo", {})

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "deaf.sock")
    with pytest.raises(OwnerGone) as caught:
        await call(tmp_path / "deaf.sock", "echo", {})
    server.close()
    assert not isinstance(caught.value, OwnerSilent)


def test_path_is_short_however_long_the_stores_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux takes 107 bytes; the folder for temporary files may itself be deep."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("deep" * 30)))
    store = tmp_path / ("long" * 50) / "resolute.db"
    assert len(os.fsencode(socket_path(store))) <= 107
    assert socket_path(store) != socket_path(store.with_name("other.db"))


def test_folder_that_others_may_enter_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made it could listen in our place."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / f"resolute-{os.getuid()}").mkdir(mode=0o755)
    assert not socket_path(tmp_path / "resolute.db").is_relative_to(tmp_path)


def test_no_folder_at_all_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to set."""
    monkeypatch.setattr(sockets, "PATH_BYTES", 10)
    with pytest.raises(StoreError, match="XDG_RUNTIME_DIR"):
        socket_path(tmp_path / "resolute.db")
