"""The documentation is complete: every name, command, setting and column stands in it, and links lead somewhere."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

import resolute
from resolute.cli import main
from resolute.config import SETTINGS, WorkerConfig
from resolute.model.activity import Node
from resolute.model.flow import FlowBuilder, Otherwise, When
from resolute.providers import pagerduty
from resolute.providers.pagerduty import config as pagerduty_config
from tests.docs.page import PAGES, ROOT, blocks_of

REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
#: What is written as code in the reference, without its arguments.
CODE = set(re.findall(r"[\w.-]+", " ".join(re.findall(r"`([^`\n]+)`", REFERENCE))))


def section(title: str) -> str:
    """The text of one section of the reference."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


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


@pytest.mark.parametrize("activity", [pagerduty.trigger_event, pagerduty.resolve_event, pagerduty.get_on_calls])
def test_every_input_of_the_activities_is_documented(activity: object) -> None:
    """All arguments of the PagerDuty activities."""
    arguments = inspect.signature(getattr(activity, "fn")).parameters  # noqa: B009
    assert [name for name in arguments if name not in CODE] == []


@pytest.mark.parametrize("kind", [resolute.WorkerConfig, resolute.Retry, pagerduty.PagerDutyConfig])
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
    schema = (ROOT / "src/resolute/engines/embedded/sqlite/schema.sql").read_text(encoding="utf-8")
    table = re.search(r"CREATE TABLE incident_log \((.*?)\) STRICT", schema, re.DOTALL)
    assert table
    columns = re.findall(r"^\s+(\w+) +(?:TEXT|INTEGER|REAL|ANY)", table[1], re.MULTILINE)
    told = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|(.+?)\|", section("incident_log"), re.MULTILINE)))
    assert sorted(told) == sorted(columns)


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
    "word", ["Flow", "Step", "Node", "Trigger", "Run", "Attempt", "Provider", "Activity", "Engine"]
)
def test_the_nouns_of_the_project_are_explained(word: str) -> None:
    """The glossary fixes the words."""
    assert f"| **{word}** |" in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
