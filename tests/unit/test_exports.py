"""The public names: complete, sorted, lazy, and light to import."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import resolute

HEAVY = {"temporalio", "starlette", "uvicorn", "httpx2", "jinja2", "sqlite3", "click", "psycopg", "prometheus_client"}


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after this statement."""
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    return set(json.loads(done.stdout))


def imported_for_type_checkers() -> dict[str, str]:
    """Name -> module of every import under TYPE_CHECKING, as written."""
    tree = ast.parse(Path(inspect.getfile(resolute)).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    statements = [statement for block in blocks for statement in block.body if isinstance(statement, ast.ImportFrom)]
    assert all(alias.asname == alias.name for statement in statements for alias in statement.names)
    return {alias.name: str(statement.module) for statement in statements for alias in statement.names}


def test_the_public_names_are_sorted_and_stand_once() -> None:
    """A reader finds a name where the alphabet puts it."""
    assert resolute.__all__ == sorted(set(resolute.__all__))


def test_type_checkers_and_the_interpreter_see_the_same_names() -> None:
    """The table of lazy names, the block for type checkers and `__all__` are one list in three forms."""
    assert imported_for_type_checkers() == resolute._MODULE_OF
    assert sorted(resolute._MODULE_OF) == resolute.__all__ == dir(resolute)


@pytest.mark.parametrize("name", resolute.__all__)
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    """What can be imported exists, and its docstring says what it is."""
    value = getattr(resolute, name)

    assert inspect.getdoc(value)
    assert not name.startswith("_")


def test_a_name_that_does_not_exist_is_an_import_error() -> None:
    """A typing error in an import is told like any other."""
    with pytest.raises(ImportError, match="cannot import name 'flwo' from 'resolute'"):
        from resolute import flwo  # noqa: F401

    with pytest.raises(AttributeError, match=r"^resolute has no 'flwo'$"):
        resolute.flwo  # noqa: B018


def test_star_import_gives_the_public_names() -> None:
    """A notebook may take all of them."""
    names: dict[str, object] = {}

    exec("from resolute import *", names)

    assert set(resolute.__all__) <= set(names)


def test_importing_the_package_loads_nothing_else() -> None:
    """`import resolute` costs nothing before a name is used, pydantic included."""
    loaded = loaded_by("import resolute")
    heavy = loaded & (HEAVY | {"asyncio", "pydantic"})

    assert {name for name in loaded if name.startswith("resolute")} == {"resolute"}
    assert not heavy


@pytest.mark.parametrize(
    "statement",
    [
        "from resolute import flow, activity, output",
        "from resolute import current, Retry, schedule, secret",
    ],
)
def test_what_a_flow_needs_loads_no_server_no_store_and_no_client(statement: str) -> None:
    """A file of flows is read by tests, commands and editors; HTTP, SQLite and asyncio load on first use."""
    heavy = loaded_by(statement) & (HEAVY | {"asyncio", "socket", "ssl"})

    assert not heavy
