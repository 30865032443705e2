"""A store whose files were cut, overwritten or parted: it says so, or holds everything that was acknowledged."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from resolute.engine import RunQuery
from resolute.engines.embedded.large import digest_of
from resolute.engines.embedded.sqlite.reader import ReadOnlyStore
from resolute.engines.embedded.sqlite.reads import Reads
from resolute.engines.embedded.sqlite.store import SqliteStore
from resolute.engines.embedded.store import LedgerQuery, PutLarge, PutMemory
from resolute.errors import EngineError, StoreBroken, StoreDamaged, StoreError
from tests.contract.rows import entry, row, run
from tests.integration.sqlite_file import is_intact, opened

PAGE = 4096
LOG_HEAD, FRAME = 32, 24 + PAGE
IN_FILE, RUNS = 40, 60
LARGE = '{"text":"' + "x" * 50_000 + '"}'


def batch(no: int) -> list[Any]:
    return [run(no), entry(no, 1, output="y" * 900), entry(no, 2)]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an owner left that was killed: 40 runs in the file, 20 more in its log."""
    folder = tmp_path_factory.mktemp("left")
    path = folder / "live" / "resolute.db"
    path.parent.mkdir()

    async def write() -> None:
        async with opened(path) as store:
            await store.commit([PutLarge(1, digest_of(LARGE), LARGE), PutMemory("disk", "a", "1"), row(1)])
            await asyncio.gather(*(store.commit(batch(no)) for no in range(1, IN_FILE + 1)))
        async with opened(path) as store:
            for no in range(IN_FILE + 1, RUNS + 1):
                await store.commit(batch(no))
            for ending in ("", "-wal", "-shm", ".lock"):
                shutil.copy(f"{path}{ending}", folder)

    asyncio.run(write())
    shutil.rmtree(path.parent)
    return folder


@pytest.fixture
def path(left: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(left, tmp_path / "store") / "resolute.db"


def beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def as_left(path: Path) -> None:
    """Killed: file, log and index."""


def without_index(path: Path) -> None:
    """As after a copy of file and log."""
    beside(path, "-shm").unlink()


def closed(path: Path) -> None:
    """As after an orderly end: the file alone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM runs").fetchone()


async def everything(store: Reads) -> list[Any]:
    runs = await store.runs(RunQuery(limit=1000))
    return [
        [await store.load(each.no) for each in runs],
        await store.ledger(LedgerQuery()),
        await store.memory("disk"),
        await store.large(1, digest_of(LARGE)),
    ]


async def by_owner(path: Path) -> list[Any]:
    async with opened(path) as store:
        return await everything(store)


async def by_reader(path: Path) -> list[Any]:
    return await everything(ReadOnlyStore(path))


Reader = Callable[[Path], Awaitable[list[Any]]]
READERS = pytest.mark.parametrize("read", [by_owner, by_reader])


def with_runs(count: int) -> list[Any]:
    """What is found when so many runs are there, and all else."""
    return [[(first, list(rest)) for first, *rest in map(batch, range(count, 0, -1))], [row(1)], {"a": "1"}, LARGE]


def cut(path: Path, length: float) -> None:
    """Let a file end there: bytes from its beginning or, below 0, from its end, or a share of it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(length * len(content) if 0 < length < 1 else length)])


def flip(path: Path, place: float) -> None:
    """Flip a byte of a file, at that place or share of it."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content) if place < 1 else place)] ^= 0x55
    path.write_bytes(content)


def flip_in(path: Path, text: bytes) -> None:
    """Flip the highest bit of a byte inside of a text."""
    content = bytearray(path.read_bytes())
    content[content.rindex(text) + len(text) // 2] ^= 0x80
    path.write_bytes(content)


def size(path: Path) -> int:
    return path.stat().st_size


async def told(path: Path, read: Reader) -> str:
    """What is said of the damage; "" when everything is there."""
    said, found = "", with_runs(RUNS)
    try:
        found = await read(path)
    except StoreError as error:
        said = str(error)
    assert found == with_runs(RUNS)
    assert not said or (path.name in said and "copy" in said)
    return said


def log_of_another(path: Path) -> bytes:
    """A log that is whole, of a database with larger pages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA page_size = 8192", "PRAGMA journal_mode = WAL", "CREATE TABLE posts (id)"):
            connection.execute(statement)
        return beside(path, "-wal").read_bytes()


def files(path: Path) -> dict[str, bytes]:
    """All that lies there but the lock, which says who held it last."""
    return {each.name: each.read_bytes() for each in path.parent.iterdir() if each.suffix != ".lock"}


@READERS
@pytest.mark.parametrize("state", [as_left, closed])
async def test_files_that_are_whole(path: Path, state: Callable[[Path], None], read: Reader) -> None:
    """Everything that was acknowledged is there, whether the owner was killed or closed them."""
    state(path)
    assert await told(path, read) == ""


# The file


LENGTHS = [0, 7, 60, 100, PAGE, 0.5, -PAGE, -PAGE // 2, -1]


@READERS
@pytest.mark.parametrize("state", [as_left, without_index, closed])
@pytest.mark.parametrize("length", LENGTHS)
async def test_file_that_was_cut(path: Path, length: float, state: Callable[[Path], None], read: Reader) -> None:
    """Wherever it ends: it is told, unless all that is missing stands in the log."""
    state(path)
    cut(path, length)
    said = await told(path, read)
    assert ("cut" if length else "is empty") in said or state is not closed


@READERS
async def test_every_page_that_is_none_any_more_is_told(path: Path, read: Reader, tmp_path: Path) -> None:
    """A flipped byte where a page says of what kind it is; unless nothing was kept in that page."""
    closed(path)
    said = []
    for number in range(size(path) // PAGE):
        again = shutil.copytree(path.parent, tmp_path / str(number)) / path.name
        flip(again, number * PAGE if number else 100)
        try:
            said.append(await told(again, read))
        except StoreDamaged as error:
            said.append(str(error))
    assert sum("SQLITE_CORRUPT" in each for each in said) > len(said) // 2


@READERS
async def test_no_flipped_byte_ends_in_a_traceback(path: Path, read: Reader, tmp_path: Path) -> None:
    """Where SQLite cannot tell, what was read may be another text; whatever is told, it is told as an error of ours."""
    closed(path)
    places = random.Random(20260131)
    for number in range(80):
        again = shutil.copytree(path.parent, tmp_path / str(number)) / path.name
        flip(again, places.random())
        with suppress(EngineError):
            await read(again)


async def test_flipped_byte_in_a_large_value_is_the_run_s_alone(path: Path) -> None:
    """The run learns that its value is not what was written; all others go on."""
    closed(path)
    flip_in(path, b"x" * 3000)
    async with opened(path) as store:
        with pytest.raises(StoreDamaged, match=r"run number 1 is not what was written in .*resolute\.db"):
            await store.large(1, digest_of(LARGE))
        await store.commit([run(99)])
        assert len(await store.running()) == RUNS + 1


@READERS
async def test_text_that_is_none_any_more_is_told(path: Path, read: Reader) -> None:
    """Bytes that are not UTF-8 end in a sentence, and the store goes on for those who do not need that row."""
    closed(path)
    flip_in(path, b"y" * 900)
    with pytest.raises(StoreBroken, match=r"resolute\.db holds what was never written there.*from a copy"):
        await read(path)
    async with opened(path) as store:
        assert len(await store.running()) == RUNS
        await store.commit([run(99)])


@pytest.mark.parametrize("read", [by_owner, by_reader])
async def test_damage_is_not_made_worse(path: Path, read: Reader) -> None:
    """The files of a store that is refused stay as they are, for whoever tries to save what can be saved."""
    cut(path, 3 * PAGE)
    before = files(path)
    assert "cut" in await told(path, read)
    assert files(path) == before


async def test_log_whose_file_is_gone(path: Path) -> None:
    """No new store is begun in its place: SQLite would mix them."""
    beside(path, "").rename(path.parent / "away")
    before = files(path)
    with pytest.raises(StoreBroken, match=r"no store at .*resolute\.db, but its log"):
        await SqliteStore(path).open()
    assert files(path) == before


# The log


@READERS
@pytest.mark.parametrize("length", [LOG_HEAD, LOG_HEAD + 10, LOG_HEAD + FRAME, 0.3, 0.8, -FRAME, -1])
async def test_log_that_was_cut(path: Path, length: float, read: Reader) -> None:
    """Its index knows how far it went."""
    cut(beside(path, "-wal"), length)
    assert "was cut" in await told(path, read)


@READERS
async def test_log_with_a_flipped_byte(path: Path, read: Reader, tmp_path: Path) -> None:
    """Wherever it is: SQLite would take all that follows for a write that was interrupted."""
    places = random.Random(20260131)
    for number in range(20):
        again = shutil.copytree(path.parent, tmp_path / str(number)) / path.name
        flip(beside(again, "-wal"), places.random() if number else 20)
        assert "log" in await told(again, read)


@pytest.mark.parametrize("length", [0, 10, LOG_HEAD, LOG_HEAD + 10, LOG_HEAD + FRAME, 0.3, 0.8, -FRAME, -1])
async def test_log_that_was_cut_and_has_no_index(path: Path, length: float) -> None:
    """Then nothing tells a cut from a write that was interrupted: the store is whole as of an earlier commit."""
    without_index(path)
    cut(beside(path, "-wal"), length)
    found = await by_owner(path)
    assert IN_FILE <= len(found[0]) < RUNS
    assert found == with_runs(len(found[0]))
    assert is_intact(path)


@pytest.mark.parametrize("place", [0, 20, 0.1, 0.5, 0.8])
async def test_log_that_is_damaged_before_its_end_and_has_no_index(path: Path, place: float) -> None:
    """What follows shows that more was acknowledged than can be read."""
    without_index(path)
    flip(beside(path, "-wal"), place)
    said = await told(path, by_owner)
    assert "begins with what was never written" in said or "damaged before its end" in said


@pytest.mark.parametrize("state", [as_left, without_index])
@pytest.mark.parametrize("garbage", ["zeros", "noise", "another's"])
async def test_log_that_is_garbage(path: Path, tmp_path: Path, garbage: str, state: Callable[[Path], None]) -> None:
    """SQLite would go on without it, or with another database's."""
    state(path)
    noise = random.Random(1).randbytes(90_000)
    content = {"zeros": bytes(90_000), "noise": noise, "another's": log_of_another(tmp_path / "another.db")}
    beside(path, "-wal").write_bytes(content[garbage])
    assert "begins with what was never written" in await told(path, by_owner)


@READERS
async def test_log_that_was_not_begun_yet(path: Path, read: Reader) -> None:
    """An owner that lost its power while it wrote the first header has written nothing else."""
    closed(path)
    expected = await read(path)
    beside(path, "-wal").write_bytes(bytes(LOG_HEAD))
    assert await read(path) == expected == with_runs(RUNS)


async def test_index_of_an_earlier_round_says_nothing(path: Path) -> None:
    """An index is not synced: after a power cut it may be an old one, which knew more of a longer log."""
    before = files(path)
    closed(path)
    async with opened(path) as store:
        await store.commit([run(99)])
        left = files(path)
    assert len(left["resolute.db-wal"]) < len(before["resolute.db-wal"])
    for name, content in (left | {"resolute.db-shm": before["resolute.db-shm"]}).items():
        path.with_name(name).write_bytes(content)
    async with opened(path) as store:
        assert len(await store.running()) == RUNS + 1


async def test_log_that_was_taken_away(path: Path) -> None:
    """An orderly end leaves none either: the store is whole as of the last time that its log was moved into it."""
    beside(path, "-wal").rename(path.parent / "away")
    assert await by_owner(path) == with_runs(IN_FILE)
    assert is_intact(path)


async def test_older_frames_behind_the_end_of_the_log_are_no_damage(path: Path) -> None:
    """A log is written anew from its beginning; what lies behind is of its last round."""
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    async with opened(path) as store:
        await store.commit([run(no, error="x" * 3000) for no in range(2000)])  # fills the log, which is moved at once
        await store.commit([run(9999)])
        copy = shutil.copytree(path.parent, path.parent.parent / "copy") / path.name
    assert size(beside(copy, "-wal")) > 100 * FRAME
    async with opened(copy) as store:
        assert len(await store.running()) == 2001
