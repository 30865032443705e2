"""How long a flow's file takes to import Resolute, against pydantic alone: `python benchmarks/import_time.py [ROUNDS]`.

Both imports are measured in new processes, by turns, as CPU time of the import statement without the start of Python;
the best of all rounds counts. Exits with 1 when Resolute takes twice as long as pydantic or more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

OURS = "from resolute import flow, activity, output"
THEIRS = "from pydantic import BaseModel"
LIMIT = 2.0

CODE = "import time; start = time.process_time(); {}; print(time.process_time() - start)"


def cpu_seconds(statement: str, compiled: str) -> float:
    """CPU time of one import in a process of its own; `compiled` is the folder of its .pyc files."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(statement)],
        env={**environment, "PYTHONPYCACHEPREFIX": compiled},
        check=True,
        stdout=subprocess.PIPE,
    )
    return float(done.stdout)


def main(rounds: int) -> int:
    """Print both times and their ratio; 1 when it reaches the limit."""
    with TemporaryDirectory() as compiled:
        for statement in (OURS, THEIRS):
            cpu_seconds(statement, compiled)  # compiles both, as an installation does
        measured = [(cpu_seconds(OURS, compiled), cpu_seconds(THEIRS, compiled)) for _ in range(rounds)]
    ours, theirs = (min(times) for times in zip(*measured, strict=True))
    ratio = ours / theirs
    print(f"{OURS}: {ours * 1000:.1f} ms")
    print(f"{THEIRS}: {theirs * 1000:.1f} ms")
    print(f"ratio: {ratio:.2f} (limit {LIMIT:.0f}, best of {rounds})")
    return int(ratio >= LIMIT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
