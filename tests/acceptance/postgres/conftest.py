"""Nothing here can be read without psycopg; the contract suites say so where they are skipped. CI has it."""

from __future__ import annotations

import os
from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("psycopg") or os.environ.get("CI") else ["test_*.py"]
