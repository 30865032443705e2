"""The Temporal server is stopped for half a minute while deliveries come and the clock ticks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.senders import Senders
from tests.acceptance.temporal.fleet import HOOKED, Fleet
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only, pytest.mark.timeout(300)]

AWAY_S: Final = 30.0
EVERY: Final = timedelta(seconds=5)


@pytest.fixture
def lasting_fleet(tmp_path: Path, lasting_server: TemporalServer) -> Iterator[Fleet]:
    """Machines for workers of a server that can be stopped and started again."""
    with Fleet(tmp_path, lasting_server) as fleet:
        yield fleet


def test_nothing_is_lost_while_the_server_is_away(lasting_fleet: Fleet, lasting_server: TemporalServer) -> None:
    """Senders are told when to come again, each delivery that was accepted has its run, and no tick is left out."""
    fleet, away = lasting_fleet, threading.Event()
    fleet.module = HOOKED
    fleet.up("a", "b")
    with Senders(fleet.port_of("a"), 5000, count=4, pause_s=0.3) as senders:
        fleet.until(lambda: len(senders.accepted) >= 30 and len(fleet.runs("ticking")) >= 1)
        lasting_server.stop()
        away.wait(AWAY_S)
        put_off, accepted = list(senders.put_off), len(senders.accepted)
        lasting_server.start()
        fleet.until(lambda: len(senders.accepted) >= accepted + 30)
    fleet.until(lambda: set(fleet.runs("hooked").values()) == {"COMPLETED"})
    assert fleet.stop() == [0, 0]
    assert set(put_off) == {"5"}
    assert senders.strange == []
    assert set(senders.accepted.values()) <= set(fleet.runs("hooked"))
    ticks = sorted(datetime.fromisoformat(run_id.partition("@")[2]) for run_id in fleet.runs("ticking"))
    assert ticks[-1] - ticks[0] > timedelta(seconds=AWAY_S)
    assert ticks == [ticks[0] + number * EVERY for number in range(len(ticks))]
