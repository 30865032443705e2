"""Run ids: unguessable, short, and in the order of time."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta

from resolute.clock import SystemClock, SystemRandomness, new_id


class _Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 3, 2, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


def test_ids_sort_by_the_time_at_which_they_were_made() -> None:
    """Neighbours in time are neighbours in an index."""
    clock, draw = _Clock(), random.Random(1)
    ids = []
    for _ in range(100):
        ids.append(new_id(clock, draw))
        clock.time += timedelta(milliseconds=1)
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_differ() -> None:
    """Half of an id is drawn at random."""
    assert len({new_id(_Clock(), SystemRandomness()) for _ in range(1000)}) == 1000


def test_an_id_has_twenty_characters_that_can_be_read_aloud() -> None:
    """No i, l, o or u: they are taken for 1, 0 and v."""
    made = new_id(SystemClock(), SystemRandomness())
    assert len(made) == 20
    assert not set(made) & set("ilouILOU -")


def test_what_is_drawn_fills_its_range() -> None:
    """Also over many refills of the buffer, and for sizes that are no whole bytes."""
    source = SystemRandomness()
    bits = [source.getrandbits(5) for _ in range(20_000)]
    assert set(bits) == set(range(32))
    drawn = [source.random() for _ in range(20_000)]
    assert 0.0 <= min(drawn) < 0.01 < 0.99 < max(drawn) < 1.0


def test_a_forked_process_draws_other_numbers() -> None:
    """Two workers made of one process must not give the same ids."""
    source = SystemRandomness()
    source.random()
    reads, writes = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writes, source.getrandbits(256).to_bytes(32, "big"))
        os._exit(0)
    os.waitpid(child, 0)
    assert int.from_bytes(os.read(reads, 32), "big") != source.getrandbits(256)
