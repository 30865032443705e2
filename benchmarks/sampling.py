"""`Sampler`: where a process with several threads spends its CPU time, function by function.

A thread looks at all others every millisecond and charges the CPU time that each has used since the last look to the
function in which it stands. So a thread that waits costs nothing, and the measured program is hardly slowed down.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from types import CodeType, FrameType, TracebackType
from typing import Final, TypeVar

K = TypeVar("K")

PERIOD_S: Final = 0.001
#: A busy thread is made to pause for a look this often; Python's own 5 ms would hide short functions behind waits.
SWITCH_S: Final = 0.0005


class Sampler:
    """Measures while it is entered.

    Attributes:
        cpu_s: CPU time by name of thread.
        own_s: CPU time by thread and function, without what the function calls; a C function counts for its caller or
            for what is called next.
        elapsed_s: time on the wall.
    """

    def __init__(self) -> None:
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.own_s: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.elapsed_s = 0.0
        self._codes: defaultdict[tuple[int, CodeType], float] = defaultdict(float)
        self._names: dict[int, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._begun = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        sys.setswitchinterval(self._switch_s)
        self.elapsed_s = time.perf_counter() - self._begun
        for (ident, code), seconds in self._codes.items():
            where = "/".join(code.co_filename.rsplit("/", 3)[1:])
            self.own_s[self._names[ident], f"{code.co_qualname} ({where}:{code.co_firstlineno})"] += seconds
            self.cpu_s[self._names[ident]] += seconds

    def _watch(self) -> None:
        own = threading.get_ident()
        used: dict[int, float] = {}
        while not self._ended.wait(PERIOD_S):
            for ident, frame in sys._current_frames().items():
                if ident != own:
                    self._charge(ident, frame, used)

    def _charge(self, ident: int, frame: FrameType, used: dict[int, float]) -> None:
        # Good for threads that live on: asking for the clock of one that ended in this instant is undefined.
        now = time.clock_gettime(time.pthread_getcpuclockid(ident))
        if ident not in self._names:
            thread = next((thread for thread in threading.enumerate() if thread.ident == ident), None)
            self._names[ident] = thread.name if thread is not None else "a thread of C code"
        else:
            self._codes[ident, frame.f_code] += now - used[ident]
        used[ident] = now

    def print(self, runs: int, top: int = 25) -> None:
        """What a run costs in each thread, and the functions that cost most."""
        print(f"\nCPU time of {runs:,} runs in {self.elapsed_s:.2f} s, sampled: microseconds a run")
        for thread, seconds in _largest(self.cpu_s):
            busy = seconds / self.elapsed_s
            print(f"{1e6 * seconds / runs:>8.1f}  thread {thread}, {busy:.0%} of the time on a CPU")
        print(f"\n{'us a run':>8}  {'share':>6}  function, own time; thread")
        total = sum(self.own_s.values())
        for (thread, function), seconds in _largest(self.own_s)[:top]:
            print(f"{1e6 * seconds / runs:>8.1f}  {seconds / total:>6.1%}  {function}; {thread}")


def _largest(seconds: Mapping[K, float]) -> list[tuple[K, float]]:
    return sorted(seconds.items(), key=lambda item: -item[1])
