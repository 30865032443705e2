"""What a type checker says to flow authors: nothing about good flows, the right error about each mistake."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from resolute import activity, flow, manual, output
from resolute.errors import NodeMisuse

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
GOOD = HERE / "flows.py"
CACHE = ROOT / ".mypy_cache" / "mistakes"  # apart from the one that `make check` uses with other options

# A line of code, and the code of the error that mypy gives for it. Each stands alone in a file below PREAMBLE.
MISTAKES = [
    ("a wrong argument name", 'check(adress="https://x")', "call-arg"),
    ("a missing argument", "check()", "call-arg"),
    ("too many arguments", 'check("https://x", 5)', "call-arg"),
    ("a wrong argument type", "check(url=5)", "arg-type"),
    ("a wrong type by its place", "check(5)", "arg-type"),
    ("a datetime for a number", 'check("https://x", timeout_s=now())', "arg-type"),
    ("a secret for a number", 'check("https://x", timeout_s=secret("T"))', "arg-type"),
    ("a node for a value", 'check(url=check("https://x"))', "arg-type"),
    ("a node for a list of texts", "tell(names=check('https://x'))", "arg-type"),
    ("an activity that was not called", "base.then(check)", "arg-type"),
    ("a function that is no activity", "base.then(plain)", "arg-type"),
    ("a coroutine", "base.then(plain())", "arg-type"),
    ("a list of nodes", 'base.then([check("https://x")])', "arg-type"),
    ("a flow as a part", "base.then(base)", "arg-type"),
    ("a node that is awaited", 'async def f() -> None: await check("https://x")', "misc"),
    ("an activity that is awaited", "async def f() -> None: await check", "misc"),
    ("a field of the output of a node", 'check("https://x").status', "attr-defined"),
    ("a key for an activity", 'check.as_("health")', "attr-defined"),
    ("seconds added to a time", "now() + 3600", "operator"),
    ("a time taken from a time span", "timedelta(hours=1) - now()", "operator"),
    ("a when that is not closed", 'base.when(good).then(check("https://x")).build()', "attr-defined"),
    ("an inner when that is not closed", "base.when(good).when(good).end_when().build()", "attr-defined"),
    ("an end without a when", "base.end_when()", "attr-defined"),
    ("one end too many", 'base.when(good, then=check("https://x")).end_when()', "attr-defined"),
    ("otherwise without a when", "base.otherwise()", "attr-defined"),
    ("a trigger inside a when", "base.when(good).triggered_by(manual())", "attr-defined"),
    ("a fragment that is built", 'steps(check("https://x")).build()', "attr-defined"),
    ("otherwise= without then=", 'base.when(good, otherwise=check("https://x"))', "call-overload"),
    ("a predicate without the state", "base.when(blind)", "arg-type"),
    ("a predicate that is async", "base.when(later)", "arg-type"),
    ("a text as a test", 'base.when("critical")', "call-overload"),
    ("seconds as a sleep", "base.then_sleep(300)", "arg-type"),
    ("a loop without a test", 'base.then_loop("poll", check("https://x"))', "call-arg"),
    ("a loop that ends otherwise", 'base.then_loop("x", steps(), until=good, on_end="stop")', "arg-type"),
    ("a loop with seconds", 'base.then_loop("x", steps(), until=good, every=30)', "arg-type"),
    ("a trigger as a text", 'flow("x").triggered_by("* * * * *")', "arg-type"),
    ("a schedule with a wrong setting", 'schedule("@daily", overlap="never")', "arg-type"),
    ("an input that is no model", "base.accepts(dict)", "arg-type"),
    ("a failure node that was not called", "base.on_failure(check)", "arg-type"),
    ("a time limit in seconds", 'check("https://x").with_timeout(30)', "arg-type"),
    ("retries as a number", 'check("https://x").with_retry(3)', "arg-type"),
    ("a wait in seconds", "Retry(initial=5)", "arg-type"),
    ("a retry that names a type", 'Retry(never=("ValueError",))', "arg-type"),
    ("a state read as another type", "def f(s: FlowState) -> int: return s[node]", "return-value"),
    ("a typed read of another type", 'def f(s: FlowState) -> int: return s.get("x", str)', "return-value"),
    ("a default of another type", 'def f(s: FlowState) -> int: return s.get("x", int, default="")', "return-value"),
    ("a field that the output lacks", "def f(s: FlowState) -> None: print(s[node].stats)", "attr-defined"),
    ("a wrong field of a payload", "Link(url='https://x')", "call-arg"),
    ("a wrong type in a payload", "Link(href=5)", "arg-type"),
    ("a default that is no text", 'env("HOST", default=5)', "arg-type"),
    ("an argument of a page for a list of pages", 'members("ops", page="p2")', "call-arg"),
    ("a page by its place", 'members("p2", "ops")', "call-arg"),
    ("a wrong argument of a list of pages", "members(team=5)", "arg-type"),
    ("a missing argument of a list of pages", "members()", "call-arg"),
    ("a list of pages read as one item", "def f(s: FlowState) -> Health: return s[members('ops')]", "return-value"),
    ("an item that the pages lack", "def f(s: FlowState) -> None: print(s[members('ops')][0].stats)", "attr-defined"),
    ("a page without its page", 'members.fn(team="ops")', "call-arg"),
    ("pages that are no pages", "@paginated\ndef f(page: str | None) -> list[Health]: return []", "arg-type"),
    ("pages without a page", "@paginated\ndef f() -> Page[Health]: return Page(items=[])", "arg-type"),
    ("an undo that was not called", 'check("https://x").undo(check)', "arg-type"),
    ("an undo after a time", 'check("https://x").undo(node, after=timedelta(1))', "call-arg"),
    ("a rate limit as a number", 'check("https://x").with_rate_limit(5)', "arg-type"),
    ("a rate limit in seconds", "RateLimit(5, per=60)", "arg-type"),
    ("a heartbeat in seconds", 'check("https://x").with_heartbeat(30)', "arg-type"),
    ("a list for branches", 'base.then_parallel("both", [node])', "arg-type"),
    ("an activity for a branch", 'base.then_parallel("both", check)', "arg-type"),
    ("a parallel without a key", "base.then_parallel(node)", "arg-type"),
    ("an each without a list", 'base.then_each("all", body=node)', "call-arg"),
    ("an each without a body", 'base.then_each("all", over=[1])', "call-arg"),
    ("an each over a text", 'base.then_each("all", over="abc", body=node)', "arg-type"),
    ("an each over a node", 'base.then_each("all", over=node, body=node)', "arg-type"),
    ("an each that ends otherwise", 'base.then_each("all", over=[1], body=node, on_error="stop")', "arg-type"),
    ("an each with a limit of time", 'base.then_each("all", over=[1], body=node, limit=timedelta(1))', "arg-type"),
    ("a gate in seconds", 'base.then_gate("ok", timeout=60)', "arg-type"),
    ("a gate that ends otherwise", 'base.then_gate("ok", on_reject="stop")', "arg-type"),
    ("children of a builder", 'base.then_children("c", base, inputs=[])', "arg-type"),
    ("children without inputs", 'base.then_children("c", "child")', "call-arg"),
    ("children of one input", 'base.then_children("c", "child", inputs={"host": "x"})', "arg-type"),
    ("a cursor by its type", "base.then_advance(int, 5)", "arg-type"),
    ("an advance to nothing", 'base.then_advance("since")', "call-arg"),
    ("a cursor without a type", 'base.with_cursor("since")', "call-arg"),
    ("a cursor inside a when", 'base.when(good).with_cursor("n", int)', "attr-defined"),
    ("a time limit inside a when", "base.when(good).with_timeout(timedelta(1))", "attr-defined"),
    ("a time limit of a fragment", "steps(node).with_timeout(timedelta(1))", "attr-defined"),
    ("a flow's time limit in seconds", "base.with_timeout(60)", "arg-type"),
    (
        "a wrong answer of a gate",
        'def f(s: FlowState) -> None: print(s.get("ok", GateAnswer).accepted)',
        "attr-defined",
    ),
]

PREAMBLE = """
from datetime import timedelta
from pydantic import BaseModel
from resolute import FlowState, GateAnswer, Page, Payload, RateLimit, Retry
from resolute import activity, env, flow, manual, now, paginated, schedule, secret, steps
class Health(BaseModel):
    status: str
class Link(Payload):
    href: str
@activity
async def check(url: str, *, timeout_s: float = 5.0) -> Health: ...  # type: ignore[empty-body]
@activity
def tell(names: list[str]) -> None: ...
@paginated
async def members(page: str | None, team: str) -> Page[Health]: ...  # type: ignore[empty-body]
async def plain() -> int: return 1
async def later(state: FlowState) -> bool: return True
def blind() -> bool: return True
def good(state: FlowState) -> bool: return True
base = flow("x").triggered_by(manual())
node = check("https://x").as_("health")
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What one run of mypy --strict says: file name -> "line code" of each error, in order."""
    folder = tmp_path_factory.mktemp("mistakes")
    for number, (_, line, _) in enumerate(MISTAKES):
        (folder / f"mistake_{number}.py").write_text(f"{PREAMBLE}{line}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-version=3.11"]
    done = subprocess.run(
        [*command, f"--cache-dir={CACHE}", str(GOOD), *map(str, folder.iterdir())],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": "src"},
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    found: dict[str, list[str]] = {}
    for path, line, code in re.findall(r"^(.+?):(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE):
        found.setdefault(Path(path).name, []).append(f"{line} {code}")
    return found


def test_mypy_accepts_good_flows_and_finds_every_mistake(reported: dict[str, list[str]]) -> None:
    """Every mistake gives exactly one error with the expected code, on its own line; good flows and our code none."""
    line = PREAMBLE.count("\n") + 1
    expected = {f"mistake_{number}.py": [f"{line} {code}"] for number, (_, _, code) in enumerate(MISTAKES)}
    names = {f"mistake_{number}.py": name for number, (name, _, _) in enumerate(MISTAKES)}

    wrong = {
        names.get(file, file): (expected.get(file, []), reported.get(file, []))
        for file in {**expected, **reported}
        if expected.get(file, []) != reported.get(file, [])
    }
    assert wrong == {}, "name: (expected, reported)"


def test_good_flows_are_built_when_they_run() -> None:
    """What mypy accepts is no fiction: the same file builds its flow."""
    names = runpy.run_path(str(GOOD))

    assert [step.key for step in names["built"].steps] == ["health", "health~when", "recovered"]
    assert [step.key for step in names["every"].steps] == ["members", "all", "hosts", "hosts~advance"]


@activity
def count() -> int:
    return 1


def test_a_reference_in_an_f_string_raises_although_mypy_is_silent() -> None:
    """`output()` is typed Any, so only the run of the file can tell."""
    with pytest.raises(
        NodeMisuse, match=r'^output\("x"\) was put into an f-string or format\(\), .* Build the text with'
    ):
        f"Disk {output('x')}"


def test_a_comparison_in_an_if_raises_although_mypy_is_silent() -> None:
    """`if output("x") == 1` would be decided when the file is read."""
    with pytest.raises(NodeMisuse, match=r'^\(output\("x"\) == 1\) was used as a truth value, .* Give it to when'):
        1 if output("x") == 1 else 2


def test_a_real_bool_is_refused_when_the_flow_is_built_although_mypy_is_silent() -> None:
    """`when` is typed to take bool, so that comparisons of references pass mypy."""
    with pytest.raises(Exception, match="a test was given True, which is decided before the run"):
        flow("x").triggered_by(manual()).when(True, then=count()).build()
