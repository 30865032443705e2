"""The import graph of src/resolute points one way and has no ring.

It is drawn from every import statement, also in functions and under TYPE_CHECKING: a hidden import ties two modules
together all the same. `resolute/__init__.py` is exempt; it loads the public names on first use.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[2] / "src"

# A module imports from its own layer and those above it in this table. Of two names that fit, the longer decides.
LAYERS = (
    {"errors", "clock", "jsontypes", "cron", "postgres"},
    {"model"},
    {"engine", "context", "ledger", "secrets", "drawing", "signatures", "http_server"},
    {"interpreter", "branch", "filling", "saga", "hooks"},
    {"engines", "providers", "ledger.sqlite", "ledger.postgres"},
    {"simulator"},
    {
        "worker",
        "client",
        "config",
        "server",
        "jobs",
        "loader",
        "oneshot",
        "watchdog",
        "ports",
        "calls",
        "startcheck",
        "doctor",
        "service_manager",
        "health",
        "health_report",
        "health_answer",
        "dead_mans_switch",
        "logs",
        "metrics",
    },
    {"testing"},
    {"demo"},
    {"cli"},
)

# Imports inside functions that no rule counts: module -> modules it loads on first use. An entry says why.
LAZY: dict[str, set[str]] = {}


class Import(NamedTuple):
    """One name imported by one module, both dotted in full."""

    module: str
    target: str
    where: str
    in_function: bool


def modules_of(source: Path) -> dict[str, Path]:
    """Every module below resolute with its file, the package itself left out."""
    paths = {path.relative_to(source).with_suffix(""): path for path in sorted(source.glob("resolute/**/*.py"))}
    named = {".".join(dotted.parts).removesuffix(".__init__"): path for dotted, path in paths.items()}
    return {name: path for name, path in named.items() if name != "resolute"}


def statements_in(tree: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement, each with whether it stands in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, in_function
        yield from statements_in(node, in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def statements_of(path: Path) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The same of a file; every test here asks for all of them."""
    return list(statements_in(ast.parse(path.read_text(encoding="utf-8"))))


def imports_in(source: Path, lazy: dict[str, set[str]] = LAZY) -> list[Import]:
    """Every import of every module, those that `lazy` permits left out."""
    modules = modules_of(source)
    found = []
    for module, path in modules.items():
        for statement, in_function in statements_of(path):
            where = f"{path.relative_to(source.parent)}:{statement.lineno}"
            if isinstance(statement, ast.Import):
                targets = {alias.name for alias in statement.names}
            else:
                assert statement.level == 0, f"{where} imports relatively; write the name in full"
                base = statement.module or ""
                targets = {name if (name := f"{base}.{alias.name}") in modules else base for alias in statement.names}
            found += [Import(module, target, where, in_function) for target in sorted(targets)]
    return [each for each in found if not (each.in_function and each.target in lazy.get(each.module, ()))]


def layer_of(module: str) -> int | None:
    """Number of the layer that the module belongs to, None when the table does not know it."""
    name = module.removeprefix("resolute.")
    while name:
        for number, layer in enumerate(LAYERS):
            if name in layer:
                return number
        name = name.rpartition(".")[0]
    return None


def homeless_modules(source: Path) -> list[str]:
    return [
        f"{module} has no layer; add {module.split('.')[1]!r} to LAYERS in tests/unit/test_layers.py"
        for module in modules_of(source)
        if layer_of(module) is None
    ]


def arrows_up(source: Path) -> list[str]:
    return [
        f"{module} (layer {lower}) -> {target} (layer {upper}), {where}"
        for module, target, where, _ in imports_in(source)
        if target.startswith("resolute.")
        and (lower := layer_of(module)) is not None
        and (upper := layer_of(target)) is not None
        and upper > lower
    ]


def imports_of_the_package(source: Path) -> list[str]:
    return [
        f"{module} -> resolute, {where}: import from the module that defines the name"
        for module, target, where, _ in imports_in(source)
        if target == "resolute"
    ]


def ring(source: Path) -> list[str]:
    """The imports that lead from a module back to itself, in order; empty when there is no such chain."""
    places = {(module, target): where for module, target, where, _ in imports_in(source)}
    graph: dict[str, set[str]] = {}
    for module, target in places:
        graph.setdefault(module, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        chain = reversed(error.args[1])
        return [f"{module} -> {target}, {places[module, target]}" for module, target in pairwise(chain)]
    return []


@pytest.mark.parametrize("find_faults", [homeless_modules, arrows_up, imports_of_the_package, ring])
def test_imports_point_one_way(find_faults: Callable[[Path], list[str]]) -> None:
    """Every module has a layer, imports nothing above it, and is in no ring."""
    assert not find_faults(SOURCE), "\n".join(find_faults(SOURCE))


def test_model_needs_nothing_but_pydantic() -> None:
    """A flow can be read wherever pydantic is installed, also in Temporal's sandbox."""
    allowed = {"resolute", "pydantic", "pydantic_core", *sys.stdlib_module_names}
    assert not [
        f"{each.module} -> {each.target}, {each.where}"
        for each in imports_in(SOURCE)
        if each.module.startswith("resolute.model") and each.target.partition(".")[0] not in allowed
    ]


def test_every_lazy_import_exists() -> None:
    """An exception that nothing needs any more leaves the list."""
    made = {(each.module, each.target) for each in imports_in(SOURCE, lazy={}) if each.in_function}
    assert {(module, target) for module, targets in LAZY.items() for target in targets} <= made


def package(root: Path, files: dict[str, str]) -> Path:
    """A source folder that holds a package of these modules."""
    for name, text in files.items():
        path = root / "src" / "resolute" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root / "src"


@pytest.mark.parametrize(
    "text",
    [
        "import resolute.engine",
        "from resolute.engine import Engine",
        "from resolute import engine",
        "def load():\n    from resolute import engine",
        "if TYPE_CHECKING:\n    from resolute.engine import Engine",
    ],
)
def test_arrow_up_is_found_wherever_it_hides(tmp_path: Path, text: str) -> None:
    """Moving an import into a function or a type check does not turn the arrow."""
    source = package(tmp_path, {"model/flow": text, "engine": ""})
    line = text.count("\n") + 1
    assert arrows_up(source) == [
        f"resolute.model.flow (layer 1) -> resolute.engine (layer 2), src/resolute/model/flow.py:{line}"
    ]


def test_ring_is_shown_as_a_chain(tmp_path: Path) -> None:
    """Who closed a ring reads each import that makes it."""
    source = package(
        tmp_path,
        {
            "model/__init__": "from resolute.model.flow import Flow",
            "model/flow": "import ast\nfrom resolute.model.steps import Step",
            "model/steps": "def load():\n    from resolute.model import Flow",
        },
    )
    assert sorted(ring(source)) == [
        "resolute.model -> resolute.model.flow, src/resolute/model/__init__.py:1",
        "resolute.model.flow -> resolute.model.steps, src/resolute/model/flow.py:2",
        "resolute.model.steps -> resolute.model, src/resolute/model/steps.py:2",
    ]


def test_package_itself_is_not_imported(tmp_path: Path) -> None:
    """The public names are for users; inside, a name comes from where it is defined."""
    source = package(tmp_path, {"demo": "from resolute import flow"})
    assert imports_of_the_package(source) == [
        "resolute.demo -> resolute, src/resolute/demo.py:1: import from the module that defines the name"
    ]


def test_new_name_asks_for_a_layer(tmp_path: Path) -> None:
    """Who adds a family is told where to give it a layer."""
    source = package(tmp_path, {"oracle/sayings": "", "engine": ""})
    assert homeless_modules(source) == [
        "resolute.oracle.sayings has no layer; add 'oracle' to LAYERS in tests/unit/test_layers.py"
    ]


def test_lazy_import_is_permitted_in_a_function_only(tmp_path: Path) -> None:
    """An entry in LAZY does not cover the same import at the top of the module."""
    text = "import resolute.engine\ndef load():\n    import resolute.engine"
    source = package(tmp_path, {"model/flow": text, "engine": ""})
    allowed = imports_in(source, lazy={"resolute.model.flow": {"resolute.engine"}})
    assert [each.where for each in allowed] == ["src/resolute/model/flow.py:1"]
