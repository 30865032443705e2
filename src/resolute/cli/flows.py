"""`resolute flows`: list the flows of a module, read one, draw one. Nothing is run, and nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from resolute.cli.flows_check import check
from resolute.cli.options import Common

if TYPE_CHECKING:
    from pathlib import Path

    from resolute.model.recipe import Flow

FORMATS: Final = ("mermaid", "svg", "text")
_BY_SUFFIX: Final = {".svg": "svg", ".txt": "text"}


@click.group()
def flows() -> None:
    """List the flows of a module, show or draw one, and check them before a deploy."""


flows.add_command(check)


@flows.command("list")
@click.pass_obj
def list_flows(common: Common) -> None:
    """List the flows, what starts them, and when they start next."""
    from resolute.cli.flow_facts import summary_json
    from resolute.cli.terminal import print_json, print_table, when
    from resolute.clock import SystemClock

    now = SystemClock().now()
    found = [summary_json(flow, now) for flow in _flows(common).values()]
    if common.json:
        print_json(found)
        return
    rows = [
        (
            each["name"],
            " or ".join(trigger["text"] for trigger in each["triggers"]),
            when(each["next"]),
            each["steps"],
            _seconds(each["timeout_s"]),
        )
        for each in found
    ]
    print_table(("FLOW", "STARTS", "NEXT (UTC)", "STEPS", "TIMEOUT"), rows, cut=("STARTS",))


@flows.command("show")
@click.argument("flow")
@click.pass_obj
def show_flow(common: Common, flow: str) -> None:
    """Show what FLOW takes, returns and needs, then what it does, step by step."""
    from resolute.cli.flow_facts import flow_json
    from resolute.cli.terminal import print_json
    from resolute.clock import SystemClock

    facts = flow_json(_find(common, flow), SystemClock().now())
    if common.json:
        print_json(facts)
    else:
        _print_facts(facts)


@flows.command("graph")
@click.argument("flow")
@click.option(
    "--format", "as_format", type=click.Choice(FORMATS), help="Else what --output ends with says, else mermaid."
)
@click.option("--output", "-o", metavar="FILE", help="Write it to this file instead of standard output.")
@click.pass_obj
def graph_flow(common: Common, flow: str, as_format: str | None, output: str | None) -> None:
    """Draw FLOW: as Mermaid text, as an SVG picture, or in words."""
    from pathlib import Path

    from resolute.cli.terminal import note, print_json

    file = Path(output) if output is not None else None
    kind = as_format or (_BY_SUFFIX.get(file.suffix.lower()) if file is not None else None) or "mermaid"
    found = _find(common, flow)
    drawing = _drawn(found, kind)
    if file is not None:
        _write(file, drawing)
        if not common.json:
            note(f"{found.name} is drawn in {file}.")
    elif not common.json:
        click.echo(drawing, nl=False)
    if common.json:
        written = {"file": str(file)} if file is not None else {"drawing": drawing}
        print_json({"flow": found.name, "format": kind, **written})


def _drawn(flow: Flow, kind: str) -> str:
    from resolute.drawing.mermaid import mermaid
    from resolute.drawing.reading import graph_of
    from resolute.drawing.svg import svg
    from resolute.drawing.words import words

    if kind == "svg":
        return svg(flow)
    return mermaid(graph_of(flow)) if kind == "mermaid" else words(flow)


def _write(file: Path, drawing: str) -> None:
    from resolute.errors import ConfigError

    try:
        file.write_text(drawing, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror or error}. Name a file in a folder that exists: --output FILE."
        ) from error


def _flows(common: Common) -> dict[str, Flow]:
    """Every flow of the module by name, those of its worker first."""
    from resolute.cli.project import find_flows

    found = find_flows(common)
    return {flow.name: flow for flow in (*found.as_worker().flows, *found.flows)}


def _find(common: Common, name: str) -> Flow:
    """The flow of this name; raises ConfigError that names those that look like it."""
    import difflib

    from resolute.errors import ConfigError

    known = _flows(common)
    if name in known:
        return known[name]
    wanted = name.casefold()
    near = [each for each in known if wanted and wanted in each.casefold()] or difflib.get_close_matches(name, known, 3)
    hint = f" Did you mean {' or '.join(near[:3])}?" if near else ""
    raise ConfigError(f'There is no flow "{name}".{hint} Known: {", ".join(known)}.')


def _seconds(seconds: float | None) -> str:
    from datetime import timedelta

    from resolute.drawing.phrases import time_text

    return "" if seconds is None else time_text(timedelta(seconds=seconds))


def _print_facts(facts: dict[str, Any]) -> None:
    from resolute.cli.terminal import pretty, print_table, shown, when

    returns = facts["returns"]
    lines = {
        "flow": facts["name"],
        "starts": " or ".join(trigger["text"] for trigger in facts["triggers"]),
        "next": f"{when(facts['next'])} UTC" if facts["next"] else "",
        "timeout": _seconds(facts["timeout_s"]),
        "accepts": _accepted(facts["accepts"]),
        "returns": "all outputs by key" if returns is None else " ".join(pretty(returns).split()),
        "cursors": ", ".join(f"{cursor['name']}: {cursor['type']}{_start(cursor)}" for cursor in facts["cursors"]),
        "secrets": ", ".join(facts["secrets"]),
        "env": ", ".join(_variable(variable) for variable in facts["env"]),
        "providers": ", ".join(f"{each['provider']} {each['instance']}".strip() for each in facts["providers"]),
    }
    for name, text in lines.items():
        if text:
            click.echo(f"{name + ':':<10} {shown(text)}")
    if facts["nodes"]:
        click.echo()
        rows = [_row(node) for node in facts["nodes"]]
        print_table(("NODE", "FOR", "ACTIVITY", "RETRY", "TIMEOUT"), rows, cut=("FOR", "ACTIVITY", "RETRY"))
    click.echo()
    for line in facts["words"]:
        click.echo(shown(line))


def _accepted(accepts: dict[str, Any] | None) -> str:
    if accepts is None:
        return "any input"
    fields = [f"{each['name']}{'' if each['required'] else '?'}: {each['type']}" for each in accepts["fields"]]
    return f"{accepts['model']} ({', '.join(fields)})"


def _start(cursor: dict[str, Any]) -> str:
    return "" if cursor["start"] is None else f" = {cursor['start']}"


def _variable(variable: dict[str, Any]) -> str:
    return variable["name"] if variable["required"] else f"{variable['name']} (else {variable['default']})"


def _row(node: dict[str, Any]) -> tuple[str, str, str, str, str]:
    role = {"node": "", "failure": "when the run fails", "undo": f"undo of {node['of']}"}
    activity = f"{node['activity']} {node['instance']}".strip()
    patience = "; ".join(each["text"] for each in (node["retry"], node["rate_limit"]) if each)
    used_for = role.get(node["role"], f"fallback of {node['of']}")
    return node["key"], used_for, activity, patience, _seconds(node["timeout_s"])
