"""Random flows through random histories: whatever happens, a run comes to what its flow says, and to nothing else.

A failure prints the flow and its history as data, smallest first, and a line that repeats it.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.properties.engine_history import (
    Again,
    Answer,
    Cancel,
    Cut,
    Event,
    History,
    Jump,
    Kill,
    Order,
    Stop,
    World,
)
from tests.properties.engine_tree import (
    All,
    Ask,
    Do,
    If,
    Kids,
    Par,
    Part,
    Parts,
    Pause,
    Repeat,
    Send,
    Tree,
    named,
)

DEPTH = 3
SECONDS = st.sampled_from([0.0, 0.01, 1.0, 20.0])
ON = st.sampled_from(["fail", "continue"])


def nodes(fallback: bool = True) -> st.SearchStrategy[Do]:
    """Mostly nodes that succeed."""
    return st.builds(
        Do,
        does=st.sampled_from(["ok", "ok", "ok", "ok", "fail", "flaky", "hang"]),
        tries=st.integers(1, 2),
        seconds=SECONDS,
        reads=st.none() | st.integers(0, 20),
        undo=st.sampled_from(["", "ok", "ok", "fail"]),
        fallback=st.none() | nodes(fallback=False) if fallback else st.none(),
    )


def parts(depth: int, *, gates: bool = True) -> st.SearchStrategy[Parts]:
    """Up to four parts, one after the other."""
    return st.lists(part(depth, gates=gates), min_size=1, max_size=4).map(tuple)


def part(depth: int, *, gates: bool) -> st.SearchStrategy[Part]:
    leaves: list[st.SearchStrategy[Any]] = [
        nodes(),
        nodes(),
        st.builds(Send),
        st.builds(Pause, seconds=st.sampled_from([0.0, 0.5, 20.0, 300.0])),
    ]
    if gates:
        leaves.append(st.builds(Ask, st.none() | st.sampled_from([0.5, 30.0]), on_timeout=ON, on_reject=ON))
    if not depth:
        return st.one_of(leaves)
    inner = parts(depth - 1, gates=gates)
    tests = st.sampled_from(["yes", "no", "knows", "knows", "raise"])
    steps: list[st.SearchStrategy[Any]] = [
        st.builds(If, test=tests, then=inner, otherwise=st.just(()) | inner, about=st.integers(0, 20)),
        st.builds(
            Repeat,
            body=inner,
            rounds=st.integers(1, 3),
            at_most=st.integers(1, 3),
            every_s=st.sampled_from([0.0, 5.0, 60.0]),
            on_end=ON,
        ),
        st.builds(Par, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(
            All, body=inner, items=st.integers(0, 3), limit=st.integers(1, 3), keep_going=st.booleans(), on_error=ON
        ),
    ]
    if gates:
        steps.append(
            st.builds(
                Kids,
                child=parts(depth - 1, gates=False),
                count=st.integers(0, 2),
                limit=st.integers(1, 2),
                on_error=ON,
            )
        )
    return st.one_of([*leaves, *steps, *steps])


TREES: st.SearchStrategy[Tree] = st.builds(
    named,
    st.just("f"),
    parts(DEPTH),
    told=st.booleans(),
    limit_s=st.sampled_from([None, None, None, 10.0, 100.0]),
)
KEPT = st.integers(0, 3)
ORDERS: st.SearchStrategy[Order] = st.one_of(
    st.builds(
        Answer,
        gate=st.integers(0, 3),
        outcome=st.sampled_from(["approved", "approved", "rejected"]),
        by_position=st.booleans(),
        times=st.integers(1, 2),
    ),
    st.builds(Cancel),
    st.builds(Again, st.sampled_from(["start", "retry"])),
)
KILLS = st.builds(
    Kill, kept=KEPT, down_s=st.sampled_from([0.0, 1.0, 100.0]), again=st.none() | st.sampled_from([0, 1, 3, 8, 20])
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    KILLS,
    KILLS,
    ORDERS,
    st.builds(Cut, ORDERS, steps=st.integers(0, 12), kept=KEPT),
    st.builds(Stop, st.sampled_from([0.0, 3.0, 30.0])),
    st.builds(Jump, st.sampled_from([-3600.0, -30.0, 60.0, 3600.0])),
)
PAUSES: st.SearchStrategy[float | int] = st.one_of(
    st.integers(0, 60), st.sampled_from([0.001, 0.005, 0.3, 1.0, 5.0, 30.0, 90.0])
)
HISTORIES = st.builds(
    History,
    events=st.lists(st.tuples(PAUSES, EVENTS), min_size=1, max_size=8).map(tuple),
    seed=st.integers(0, 2**16),
    slow_disk=st.booleans(),
    faults=st.booleans(),
    slots=st.sampled_from([100, 2, 1]),
    retry=st.booleans(),
)
COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
    "database": None,
}


@settings(max_examples=80, derandomize=True, phases=[Phase.explicit, Phase.generate, Phase.shrink], **COMMON)
@given(tree=TREES, history=HISTORIES)
def test_a_run_comes_to_what_its_flow_says(tree: Tree, history: History) -> None:
    """Eighty histories, the same ones every time."""
    World(tree, history).run()


@pytest.mark.ci_only
@pytest.mark.timeout(600)
@settings(max_examples=2000, derandomize=True, phases=[Phase.explicit, Phase.generate], **COMMON)
@given(tree=TREES, history=HISTORIES)
def test_many_runs_come_to_what_their_flows_say(tree: Tree, history: History) -> None:
    """Two thousand histories, the same ones until the test is changed."""
    World(tree, history).run()
