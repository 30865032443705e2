"""The documentation is complete: every name, command, setting and column stands in it, and links lead somewhere."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import click
import pytest

import resolute
from resolute.cli import main
from resolute.config import SETTINGS, WorkerConfig
from resolute.context import Attempt
from resolute.engine import STATUSES, NodeView
from resolute.engines.embedded.store import SCHEMA_VERSION
from resolute.hooks import RunEvent, RunEventKind
from resolute.model.activity import Node
from resolute.model.flow import FlowBuilder, Otherwise, StepMethods, When
from resolute.providers import pagerduty
from resolute.providers.pagerduty import config as pagerduty_config
from tests.docs.page import PAGES, ROOT, blocks_of

REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
SCHEMA = (ROOT / "src/resolute/engines/embedded/sqlite/schema.sql").read_text(encoding="utf-8")
#: What is written as code in the reference, without its arguments.
CODE = set(re.findall(r"[\w.-]+", " ".join(re.findall(r"`([^`\n]+)`", REFERENCE))))


def section(title: str) -> str:
    """The text of one section of the reference."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def line_of(start: str) -> str:
    """The table line that begins so."""
    [line] = [line for line in REFERENCE.splitlines() if line.startswith(f"| `{start}")]
    return line


def words_in(text: str) -> list[str]:
    """What is written as code in a text, word by word."""
    return re.findall(r"[\w.~]+", " ".join(re.findall(r"`([^`\n]+)`", text)))


def columns_of(table: str) -> list[str]:
    """The columns of a table of the schema."""
    found = re.search(rf"CREATE TABLE {table} \((.*?)\) STRICT", SCHEMA, re.DOTALL)
    assert found
    return re.findall(r"^\s+(\w+) +(?:TEXT|INTEGER|REAL|ANY)", found[1], re.MULTILINE)


def is_told(name: str) -> bool:
    """Whether the reference names it as code, alone or behind a module or a dot."""
    return any(each == name or each.endswith(f".{name}") for each in CODE)


@pytest.mark.parametrize("name", resolute.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """Whoever finds a name in an editor finds it in the reference."""
    assert is_told(name)


@pytest.mark.parametrize("name", pagerduty.__all__)
def test_every_name_of_the_provider_is_documented(name: str) -> None:
    """The same for PagerDuty."""
    assert is_told(name)


@pytest.mark.parametrize("kind", [FlowBuilder, When, Otherwise, Node])
def test_every_method_of_flows_and_nodes_is_documented(kind: type) -> None:
    """All steps and all settings of a node."""
    methods = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]
    assert methods
    assert [name for name in methods if not is_told(name)] == []


@pytest.mark.parametrize("name", [name for name in vars(StepMethods) if not name.startswith("_")])
def test_every_argument_of_a_step_is_documented_with_its_default(name: str) -> None:
    """In the line of its method, as the signature has it."""
    if name in ("otherwise", "end_when"):
        return
    line = line_of(f".{name}(")
    arguments = dict(inspect.signature(getattr(FlowBuilder, name)).parameters)
    del arguments["self"]
    assert [argument for argument in arguments if not re.search(rf"\b{argument}\b", line)] == []
    given = [spelled(argument) for argument in arguments.values() if argument.default not in (argument.empty, None)]
    assert [default for default in given if default not in line] == []


def spelled(argument: inspect.Parameter) -> str:
    """An argument with its default as an author writes it."""
    default = argument.default
    shown = json.dumps(default) if isinstance(default, str) else repr(default).replace("datetime.", "")
    return f"{argument.name}={shown}"


@pytest.mark.parametrize(
    "shape", [resolute.GateAnswer, resolute.EachResult, resolute.ChildrenResult, resolute.ItemFault, resolute.Page]
)
def test_every_field_of_what_is_put_out_is_documented(shape: Any) -> None:
    """In the line of its model."""
    told = words_in(line_of(f"{shape.__name__}`"))
    assert [name for name in shape.model_fields if name not in told] == []


def test_all_that_an_activity_may_know_is_documented() -> None:
    """The attributes of current() that are meant for authors."""
    for_the_engine = {"providers", "instance", "beat"}
    names = {field.name for field in fields(Attempt)} | {"idempotency_key", "heartbeat", "provider"}
    told = words_in(section("Names of `resolute`"))
    assert [name for name in names - for_the_engine if name not in told and f"{name}.is_open" not in told] == []


def test_every_event_of_a_run_is_documented() -> None:
    """Its kinds, and its fields, in one table."""
    table = section("Names of `resolute`").partition("`resolute.hooks.RunEvent`")[2].partition("The statuses")[0]
    names = [*get_args(RunEventKind), *(field.name for field in fields(RunEvent))]
    assert [name for name in names if name not in words_in(table)] == []


def test_every_status_of_a_run_is_documented() -> None:
    """A line for each, and for no other."""
    table = section("Names of `resolute`").partition("The statuses of a run:")[2].partition("###")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(STATUSES)


def test_every_kind_of_journal_entry_is_documented() -> None:
    """Those that a view of a run may show."""
    described = re.search(r"kind: (.*?)\.\n", inspect.getdoc(NodeView) or "", re.DOTALL)
    assert described
    kinds = set(re.findall(r'"(\w+)"', described[1]))
    cells = re.findall(r"^\| `[^|]+\| ([^|]+) \|", section("The journal of a run"), re.MULTILINE)
    assert set(words_in(" ".join(cells))) == kinds


def test_every_table_of_a_store_is_documented() -> None:
    """Those of the schema, with their columns, and no other."""
    told = section("The tables of a store")
    tables = re.findall(r"^CREATE TABLE (\w+)", SCHEMA, re.MULTILINE)
    first = told.partition("| column of")[0]
    assert re.findall(r"^\| `(\w+)` \|", first, re.MULTILINE) == tables
    assert f"Schema version {SCHEMA_VERSION}." in told
    for table in ("large", "outlines", "memory", "ticks"):
        line = words_in(next(line for line in first.splitlines() if line.startswith(f"| `{table}`")))
        assert {*line, "run_no", "flow", "key"} >= set(columns_of(table))


@pytest.mark.parametrize("table", ["runs", "journal"])
def test_every_column_of_runs_and_their_journal_is_documented(table: str) -> None:
    """In a table of its own."""
    lines = section("The tables of a store").partition(f"| column of `{table}`")[2].partition("\n\n")[0]
    told = words_in(" ".join(re.findall(r"^\|([^|]+)\|", lines, re.MULTILINE)))
    assert sorted(told) == sorted(columns_of(table))


@pytest.mark.parametrize("activity", [pagerduty.trigger_event, pagerduty.resolve_event, pagerduty.get_on_calls])
def test_every_input_of_the_activities_is_documented(activity: object) -> None:
    """All arguments of the PagerDuty activities."""
    arguments = inspect.signature(getattr(activity, "fn")).parameters  # noqa: B009
    assert [name for name in arguments if name not in CODE] == []


@pytest.mark.parametrize("kind", [resolute.WorkerConfig, resolute.Retry, resolute.RateLimit, pagerduty.PagerDutyConfig])
def test_every_field_of_the_configurations_is_documented(kind: type) -> None:
    """All settings that are given in code."""
    names = [field.name for field in fields(kind)]
    assert [name for name in names if name not in CODE] == []


def test_defaults_of_the_worker_are_as_documented() -> None:
    """The table shows what an empty WorkerConfig() is."""
    default = WorkerConfig()
    assert f'task_queue="{default.task_queue}"' in REFERENCE
    assert f"max_concurrent={default.max_concurrent}" in REFERENCE
    assert f"grace=timedelta(seconds={default.grace.total_seconds():g})" in REFERENCE


def test_the_table_of_settings_is_the_one_in_the_code() -> None:
    """Line by line; a new setting fails this test until it is documented."""
    lines = re.findall(r"^\|(.+)\|$", section("Settings").partition("\n\n| variable")[0], re.MULTILINE)
    table = [[cell.strip().strip("`") for cell in line.split("|")] for line in lines]
    assert table[2:] == [[s.option, s.variable, s.key, s.default, s.meaning] for s in SETTINGS]


def test_every_variable_of_the_provider_is_documented() -> None:
    """PAGERDUTY_*, and none that does not exist."""
    known = set(re.findall(r"PAGERDUTY_[A-Z]+(?:_[A-Z]+)*", inspect.getsource(pagerduty_config)))
    told = set(re.findall(r"^\| `(PAGERDUTY_\w+)`", section("Settings"), re.MULTILINE))
    assert told == {name for name in known if not name.endswith("_FILE")}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name."""
    context = click.Context(main.resolute)
    for name in main.resolute.list_commands(context):
        command = main.resolute.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.list_commands(context))
        else:
            yield name, command


def test_every_command_and_option_is_documented() -> None:
    """An option stands in its command's line, or above the table when all commands take it."""
    text = section("Commands")
    common = text.partition("\n\n")[0] + text.partition("\n| command")[0]
    missing = []
    for name, command in commands():
        lines = [line for line in text.splitlines() if re.match(rf"\| `resolute {name}\b", line)]
        if not lines:
            missing.append(name)
        for option in command.params:
            if isinstance(option, click.Option) and not any(long in common + "".join(lines) for long in option.opts):
                missing.append(f"{name} {option.opts[0]}")
    assert missing == []


def test_exit_codes_are_those_of_the_command_line() -> None:
    """The table in the docs and the one in the code are the same."""
    inside = re.findall(r"^\| (\d+) \| (.+) \|$", inspect.getdoc(main) or "", re.MULTILINE)
    outside = re.findall(r"^\| (\d+) \| (.+) \|$", section("Commands"), re.MULTILINE)
    assert inside == outside != []


def test_every_column_of_the_incident_log_is_documented() -> None:
    """Those of the schema, and no other."""
    told = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|(.+?)\|", section("incident_log"), re.MULTILINE)))
    assert sorted(told) == sorted(columns_of("incident_log"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Files exist and anchors are headings; addresses on the network are not asked."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_found_from_the_readme() -> None:
    """A reader who follows links from the README sees all pages."""
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md":
            continue
        found.add(page)
        links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links if not link.startswith("http")]
    assert [page for page in PAGES if page not in found] == []


def test_readme_can_be_read_in_one_go() -> None:
    """As long as those of the libraries we learn from, with a first flow of at most 20 lines."""
    readme = ROOT / "README.md"
    [first] = [block for block in blocks_of(readme) if block.language == "python"]
    assert 77 <= len(readme.read_text(encoding="utf-8").splitlines()) <= 147
    assert len(first.text.splitlines()) <= 20


def test_readme_names_what_is_needed_and_the_limit_of_the_promise() -> None:
    """The slogan never stands without its limit."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for said in ("make demo", "make test", "Python 3.11", "none twice", "may_repeat", "more than a minute", "API key"):
        assert said in text


@pytest.mark.parametrize(
    "word",
    ["Flow", "Step", "Node", "Trigger", "Run", "Attempt", "Provider", "Activity", "Engine", "Gate", "Signal", "Worker"],
)
def test_the_nouns_of_the_project_are_explained(word: str) -> None:
    """The glossary fixes the words."""
    assert f"| **{word}** |" in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
