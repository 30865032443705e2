"""Whether the files of a store are whole, told from their sizes and headers before SQLite opens them.

SQLite finds most damage when it comes across it, but takes some for normal and goes on without what was
acknowledged: an empty file, half a last page, a log that does not begin or go on as it was written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from resolute.errors import StoreBroken

#: What helps when a store is damaged. The log of the damaged file does not belong to the copy: SQLite would mix them.
RESTORE: Final = "Restore it from a copy (`resolute backup` makes one) and delete the -wal and -shm files beside it."

#: A log that is no longer holds nothing.
LOG_HEAD_BYTES: Final = 32

_MAGIC: Final = b"SQLite format 3\0"
_FILE_HEAD_BYTES: Final = 100
_FRAME_HEAD_BYTES: Final = 24
_INDEX_HEAD_BYTES: Final = 48
#: First word of a log → byte order of the words that its checksums add up.
_ORDERS: Final = {0x377F0682: "<", 0x377F0683: ">"}
_LOG_VERSION: Final = 3007000


def log_path(path: Path) -> Path:
    """The write-ahead log of a store."""
    return path.with_name(f"{path.name}-wal")


def index_path(path: Path) -> Path:
    """The index of the write-ahead log, which SQLite makes anew when it is missing."""
    return path.with_name(f"{path.name}-shm")


def stamp(path: Path) -> tuple[object, ...]:
    """Differs when the store, its log or the index of the log was written, replaced or taken away in between."""
    found: list[object] = []
    for each in (path, log_path(path), index_path(path)):
        try:
            stat = each.stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def check_whole(path: Path) -> None:
    """Raise StoreBroken when a store that no process writes was cut, or its log was damaged or parted from it.

    With the index of the log, which a killed owner leaves behind, every loss in the log is found; without it only one
    that is followed by what was written later: the end of a log that was cut looks like a write that was interrupted.
    A log that was emptied or taken away looks like an orderly end. A file that is no database is left to SQLite, and
    so is what lies inside of the pages.

    A log is left behind only by an owner that was killed. Without one this reads 100 bytes; with one it takes 20 ms
    for each MB, and SQLite begins a log anew at about 4 MB. A walk through all pages (`PRAGMA quick_check`) would
    find more, but takes 2 s for each GB in memory and 15 s for one on a slow disk, in which no page is sent.
    """
    log = _size(log_path(path))
    if not path.exists():
        if log > LOG_HEAD_BYTES:
            raise StoreBroken(
                f"There is no store at {path}, but its log {log_path(path).name} is there. Put the file back, or "
                "restore it from a copy and delete the log."
            )
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_FILE_HEAD_BYTES)
    if not size:
        raise StoreBroken(
            f"The store {path} is empty, expected a database of SQLite or no file. {RESTORE} "
            "If it never was a store, delete the empty file."
        )
    if head[: len(_MAGIC)] != _MAGIC[: len(head)]:
        return
    if len(head) < _FILE_HEAD_BYTES:
        raise _cut(path, size, "a header of 100")
    page_bytes, changed, pages, changed_then = struct.unpack(">16xH6xII60xI4x", head)
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    if page_bytes < 512 or page_bytes & (page_bytes - 1):
        return
    logged = _read_log(path, page_bytes, log) if log >= LOG_HEAD_BYTES else _Logged()
    if logged.frames:
        first = size // page_bytes + 1
        missing = [page for page in range(first, logged.size + 1) if page not in logged.pages]
        if missing:
            raise _cut(path, size, f"at least {missing[0] * page_bytes}")
    elif changed == changed_then and size < pages * page_bytes:
        raise _cut(path, size, f"{pages * page_bytes}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _cut(path: Path, size: int, expected: str) -> StoreBroken:
    return StoreBroken(f"The store {path} was cut: it has {size} bytes, expected {expected}. {RESTORE}")


# The log (https://sqlite.org/walformat.html): a header, then frames, each a header and a page. The checksum of a frame
# continues that of the one before.


@dataclass
class _Logged:
    """What the log holds that was committed.

    Attributes:
        frames: how many.
        pages: the numbers of the pages in them.
        size: of the database after the last commit, in pages.
    """

    frames: int = 0
    pages: set[int] = field(default_factory=set)
    size: int = 0


@dataclass(frozen=True)
class _Frame:
    """A frame as it stands there.

    Attributes:
        size: of the database in pages when the frame ends a transaction, else 0.
        salt: the same for all frames since the log was begun anew.
        sums: its checksum, as it is written in it.
    """

    page: int
    size: int
    salt: bytes
    sums: tuple[int, int]
    content: bytes

    def continues(self, sums: tuple[int, int], order: str) -> bool:
        """Whether it was written after the frame with this checksum."""
        return _add(struct.pack(">II", self.page, self.size) + self.content, sums, order) == self.sums


def _read_log(path: Path, page_bytes: int, log: int) -> _Logged:
    """What was committed, of a log of that size; raises StoreBroken when more was than can be read."""
    place = log_path(path)
    with place.open("rb") as file:
        head = file.read(LOG_HEAD_BYTES)
        magic, version, log_page_bytes = struct.unpack(">III", head[:12])
        order, sums = _ORDERS.get(magic), struct.unpack(">II", head[24:])
        is_ours = (version, log_page_bytes) == (_LOG_VERSION, page_bytes)
        if order is None or not is_ours or _add(head[:24], (0, 0), order) != sums:
            # The header is on the disk before anything follows it: one that is torn has nothing behind it.
            if log == LOG_HEAD_BYTES:
                return _Logged()
            raise StoreBroken(f"The log {place} begins with what was never written there. {RESTORE}")
        salt = head[16:24]
        logged = _committed(_frames(file, page_bytes), salt, sums, order, place)
    acknowledged = _acknowledged(path, salt)
    if acknowledged > logged.frames:
        raise StoreBroken(
            f"The log {place} was cut or damaged: of {acknowledged} pages that were written there {logged.frames} can "
            f"be read. {RESTORE}"
        )
    return logged


def _committed(frames: Iterator[_Frame], salt: bytes, sums: tuple[int, int], order: str, place: Path) -> _Logged:
    logged, pending = _Logged(), set[int]()
    for count, frame in enumerate(frames, 1):
        if frame.salt != salt or not frame.continues(sums, order):
            break
        sums = frame.sums
        pending.add(frame.page)
        if frame.size:
            logged.frames, logged.size = count, frame.size
            logged.pages |= pending
            pending.clear()
    else:
        return logged
    # Mostly these are frames of an older round. Something was lost if a transaction ended behind this point and another
    # followed it: that was begun only when the one before was on the disk and acknowledged.
    for after in frames:
        if frame.size and frame.salt == after.salt == salt and after.continues(frame.sums, order):
            raise StoreBroken(f"The log {place} is damaged before its end. {RESTORE}")
        frame = after
    return logged


def _acknowledged(path: Path, salt: bytes) -> int:
    """How many frames the index knows to be committed; 0 when there is none, or it is of another round of the log.

    They were on the disk before the index was told, so it never knows more than the log holds, also when the machine
    lost its power and the index is an old one.
    """
    try:
        head = index_path(path).read_bytes()[: 2 * _INDEX_HEAD_BYTES]
    except FileNotFoundError:
        return 0
    if len(head) < 2 * _INDEX_HEAD_BYTES or head[:_INDEX_HEAD_BYTES] != head[_INDEX_HEAD_BYTES:]:
        return 0
    version, frames, index_salt = struct.unpack("=I12xI12x8s8x", head[:_INDEX_HEAD_BYTES])
    return frames if version == _LOG_VERSION and index_salt == salt else 0


def _frames(file: BinaryIO, page_bytes: int) -> Iterator[_Frame]:
    """The whole frames from here on."""
    while len(read := file.read(_FRAME_HEAD_BYTES + page_bytes)) == _FRAME_HEAD_BYTES + page_bytes:
        page, size, salt, one, two = struct.unpack(">II8sII", read[:_FRAME_HEAD_BYTES])
        yield _Frame(page, size, salt, (one, two), read[_FRAME_HEAD_BYTES:])


def _add(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's checksum of the data, continued from another."""
    one, two = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
