"""Who owns a store: real locks, real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resolute.engines.embedded.owner import NOTE_BYTES, Owner, holder, lock_path, reading
from resolute.errors import StoreBroken, StoreError, StoreOwned

HOLD = """
import asyncio, os, sys
from pathlib import Path
from resolute.engines.embedded.owner import Owner
owner = asyncio.run(Owner.acquire(Path(sys.argv[1]), wait=False))
owner.announce("/run/there.sock")
print("held", flush=True)
sys.stdin.read()
"""
FORK = """
import asyncio, os, sys
from pathlib import Path
from resolute.engines.embedded.owner import Owner
owner = asyncio.run(Owner.acquire(Path(sys.argv[1]), wait=False))
if os.fork() == 0:
    print("forked", flush=True)
    sys.stdin.read()
else:
    os._exit(1)  # as if killed: nothing is released
"""


@contextmanager
def process(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has said its word and goes on until its input ends."""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip()
        yield child
        child.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolute.db"


async def test_owner_is_named_until_it_lets_go(path: Path) -> None:
    """Who looks finds process, time and address; afterwards nobody."""
    owner = await Owner.acquire(path, wait=False)
    found = holder(path)
    assert found is not None
    assert (found.pid, found.address) == (os.getpid(), None)
    assert found.since is not None
    owner.announce("/run/resolute/a.sock")
    assert getattr(holder(path), "address", None) == "/run/resolute/a.sock"
    owner.release()
    owner.release()
    assert holder(path) is None


async def test_second_owner_in_one_process_is_refused(path: Path) -> None:
    """The lock belongs to the owner object, not to the process."""
    owner = await Owner.acquire(path, wait=False)
    with pytest.raises(StoreOwned, match=f"owned by process {os.getpid()}"):
        await Owner.acquire(path, wait=False)
    owner.release()
    (await Owner.acquire(path, wait=False)).release()


async def test_worker_learns_who_owns_its_store(path: Path) -> None:
    """It fails at once and names process and address."""
    with process(HOLD, path) as child, pytest.raises(StoreOwned, match=f"process {child.pid}.*/run/there.sock"):
        await Owner.acquire(path, wait=False)


async def test_command_waits_until_the_owner_is_killed(path: Path) -> None:
    """It says for whom it waits, once, and goes on when that process is gone, however it ended."""
    waited: list[int] = []
    with process(HOLD, path) as child:

        def waiting(pid: int) -> None:
            waited.append(pid)
            child.send_signal(signal.SIGKILL)

        owner = await Owner.acquire(path, wait=True, waiting=waiting)
        assert waited == [child.pid]
        assert getattr(holder(path), "pid", None) == os.getpid()
        owner.release()


async def test_many_who_wait_own_it_one_after_the_other(path: Path) -> None:
    """No two are inside at the same time, and all get in."""
    inside = 0

    async def take() -> None:
        nonlocal inside
        owner = await Owner.acquire(path, wait=True)
        inside += 1
        assert inside == 1
        await asyncio.wait({asyncio.ensure_future(asyncio.to_thread(os.getpid))})
        inside -= 1
        owner.release()

    await asyncio.gather(*(take() for _ in range(8)))


async def test_what_a_dead_owner_left_says_nothing(path: Path) -> None:
    """The lock is the truth: the file of a killed process keeps nobody out and names nobody."""
    with process(HOLD, path) as child:
        child.kill()
        child.wait()
        assert str(child.pid) in lock_path(path).read_text(encoding="utf-8")
        assert holder(path) is None
        (await Owner.acquire(path, wait=False)).release()


async def test_child_of_a_killed_owner_does_not_hold_the_store(path: Path) -> None:
    """A process that an activity forked may outlive its worker; the next worker starts all the same."""
    with process(FORK, path) as child:
        assert child.wait() == 1
        (await Owner.acquire(path, wait=False)).release()


async def test_reading_keeps_owners_out_and_they_wait_for_it(path: Path) -> None:
    """A reader of a store without owner is done before the owner begins, even one that would not wait for an owner."""
    (await Owner.acquire(path, wait=False)).release()
    with reading(path) as unowned:
        assert unowned
        taking = asyncio.create_task(Owner.acquire(path, wait=False))
        await asyncio.wait({taking}, timeout=0.1)
        assert not taking.done()
    owner = await taking
    with reading(path) as unowned:
        assert not unowned
    owner.release()


def test_looking_makes_no_file(path: Path) -> None:
    """A store that never had an owner has no lock file; looking changes nothing."""
    assert holder(path) is None
    assert list(path.parent.iterdir()) == []


async def test_lock_file_is_for_its_user_alone_and_keeps_its_length(path: Path) -> None:
    """It names a socket; and a later owner overwrites it in place, also on a full disk."""
    owner = await Owner.acquire(path, wait=False)
    owner.announce("/run/a-long-address-that-the-next-owner-does-not-have.sock")
    state = lock_path(path).stat()
    assert stat.S_IMODE(state.st_mode) == 0o600
    assert json.loads(lock_path(path).read_text(encoding="utf-8"))["pid"] == os.getpid()
    owner.release()
    again = await Owner.acquire(path, wait=False)
    assert (lock_path(path).stat().st_ino, lock_path(path).stat().st_size) == (state.st_ino, NOTE_BYTES)
    again.release()


async def test_links_lead_to_the_same_lock(path: Path, tmp_path: Path) -> None:
    """Two names of one file have one owner."""
    link = tmp_path / "elsewhere"
    os.symlink(path, link)
    owner = await Owner.acquire(link, wait=False)
    with pytest.raises(StoreOwned):
        await Owner.acquire(path, wait=False)
    owner.check(path)
    owner.release()


async def test_owner_notices_that_its_lock_file_was_made_anew(path: Path) -> None:
    """Whoever deletes the lock file lets a second owner in; the first one stops."""
    first = await Owner.acquire(path, wait=False)
    lock_path(path).unlink()
    first.check(path)
    second = await Owner.acquire(path, wait=False)
    with pytest.raises(StoreBroken, match="deleted and made anew"):
        first.check(path)
    first.release()
    second.release()


async def test_folder_that_does_not_exist(path: Path) -> None:
    """The text names the lock file and what is expected."""
    with pytest.raises(StoreError, match=r"nowhere/resolute\.db\.lock cannot be opened: No such file"):
        await Owner.acquire(path.parent / "nowhere" / "resolute.db", wait=True)


async def test_owner_that_let_go_owns_nothing(path: Path) -> None:
    """Using it further is an error that says so."""
    owner = await Owner.acquire(path, wait=False)
    with pytest.raises(StoreError, match="expected"):
        owner.check(path.with_name("other.db"))
    owner.release()
    with pytest.raises(StoreError, match="nothing any more"):
        owner.check(path)
    with pytest.raises(StoreError, match=r"let .* go"):
        owner.announce("/run/a.sock")
