"""`python -O` takes every assert away: what Resolute promises does not hang on one."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "resolute"


@pytest.mark.acceptance
def test_the_demo_runs_without_asserts(tmp_path: Path) -> None:
    """With a worker killed in mid-flight, nothing lost and nothing twice."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RESOLUTE_", "PAGERDUTY_"))}
    done = subprocess.run(
        [sys.executable, "-O", "-m", "resolute.cli.main", "demo"],
        cwd=tmp_path,
        env={**environ, "PYTHONOPTIMIZE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().splitlines()[-1].endswith("1 kill -9 · 0 lost · 0 twice")


def test_asserts_only_tell_types() -> None:
    """Each one in the source says that something is not None, which the code before it has made so."""
    asserts = {
        f"{path.name}:{node.lineno}": ast.unparse(node.test)
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    }
    assert asserts
    assert {where: test for where, test in asserts.items() if not test.endswith("is not None")} == {}
