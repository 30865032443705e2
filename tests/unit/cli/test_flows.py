"""`resolute flows`: what a module's flows are, what one does, and its drawings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.cli.conftest import Command, Said

MODULE = '''
from datetime import timedelta
from pydantic import BaseModel
from resolute import RateLimit, Retry, activity, env, flow, input_data, manual, output, schedule, secret

class Notice(BaseModel):
    """What a run is started with."""
    text: str = ""
    level: int | None = None

class Order(BaseModel):
    """What is counted."""
    item: str
    counts: list[int] = []

@activity
async def check(url: str) -> str:
    return url

@activity
async def notify(token: str, text: str = "") -> str:
    return text

tell = notify(token=secret("SLACK_TOKEN"), text=input_data("text")).with_rate_limit(RateLimit(5, timedelta(minutes=1)))
watch_shop = (
    flow("watch-shop")
    .triggered_by(schedule("*/5 * * * *"), manual())
    .accepts(Notice)
    .with_timeout(timedelta(hours=1))
    .with_cursor("seen", int, start=0)
    .then(check(url=env("SHOP_URL")).as_("health").with_timeout(timedelta(seconds=5)))
    .when(output("health") == env("BAD", default="down"))
        .then(tell.undo(check(url="x").as_("untell")).with_retry(Retry(attempts=5)))
    .end_when()
    .on_failure(check(url="y").as_("told"))
    .returns({"health": output("health")})
    .build()
)
watch_stock = flow("watch-stock").triggered_by(manual("stock")).accepts(Order).then(check(url="x")).build()
'''


@pytest.fixture
def flows(resolute: Command, tmp_path: Path) -> Command:
    """`flows("list")` beside a module with two flows."""
    (tmp_path / "watching.py").write_text(MODULE)

    def command(*arguments: str) -> Said:
        return resolute("flows", *arguments, "--module", "watching.py")

    return command


def test_flows_are_listed_with_what_starts_them(flows: Command) -> None:
    """In words; a schedule with its next tick."""
    head, shop, stock = flows("list").out.splitlines()
    assert head.split() == ["FLOW", "STARTS", "NEXT", "(UTC)", "STEPS", "TIMEOUT"]
    assert shop.startswith("watch-shop   every 5 min or by hand  20")
    assert shop.endswith("  3      1 h")
    assert stock.split() == ["watch-stock", "by", "hand", "as", '"stock"', "1"]


def test_list_for_programs(flows: Command) -> None:
    """One array; times in ISO 8601, lengths of time in seconds."""
    shop, stock = flows("list", "--json").json
    tick = datetime.fromisoformat(shop["next"])
    assert (tick.tzinfo, tick.minute % 5, tick > datetime.now(UTC)) == (UTC, 0, True)
    assert [(each["kind"], each["text"], each["next"]) for each in shop["triggers"]] == [
        ("schedule", "every 5 min", shop["next"]),
        ("manual", "by hand", None),
    ]
    assert (shop["steps"], shop["timeout_s"], stock["next"], stock["timeout_s"]) == (3, 3600.0, None, None)


def test_show_says_what_a_flow_takes_needs_and_does(flows: Command) -> None:
    """Secrets and variables by name: they are wanted before the first run."""
    text = flows("show", "watch-shop").out
    facts = dict(line.split(":", 1) for line in text.partition("\n\n")[0].splitlines())
    assert {name: value.strip() for name, value in facts.items() if name != "next"} == {
        "flow": "watch-shop",
        "starts": "every 5 min or by hand",
        "timeout": "1 h",
        "accepts": "Notice (text?: str, level?: int | None)",
        "returns": '{ "health": "output(\\"health\\")" }',
        "cursors": "seen: int = 0",
        "secrets": "SLACK_TOKEN",
        "env": "SHOP_URL, BAD (else down)",
    }
    assert '2. If output("health") == env("BAD"):\n   2.1. notify: run notify, 5 attempts' in text
    rows = [line.split("  ") for line in text.split("\n\n")[1].splitlines()]
    assert [[cell.strip() for cell in row if cell][:2] for row in rows] == [
        ["NODE", "FOR"],
        ["health", "check"],
        ["notify", "notify"],
        ["untell", "undo of notify"],
        ["told", "when the run fails"],
    ]


def test_show_for_programs(flows: Command) -> None:
    """One object with every node and how it is attempted, helpers after the node they belong to."""
    shown = flows("show", "watch-shop", "--json").json
    assert shown["returns"] == {"health": 'output("health")'}
    assert [(node["key"], node["role"], node["of"]) for node in shown["nodes"]] == [
        ("health", "node", ""),
        ("notify", "node", ""),
        ("untell", "undo", "notify"),
        ("told", "failure", ""),
    ]
    health, notify, *_ = shown["nodes"]
    assert (health["timeout_s"], health["retry"]["attempts"], health["rate_limit"]) == (5.0, 3, None)
    assert notify["rate_limit"] == {"text": "5 per min", "limit": 5, "per_s": 60.0, "name": None}
    assert flows("show", "watch-stock", "--json").json["accepts"] == {
        "model": "Order",
        "fields": [
            {"name": "item", "type": "str", "required": True},
            {"name": "counts", "type": "list[int]", "required": False},
        ],
    }
    assert shown["words"][0] == "watch-shop starts every 5 min or by hand."


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ([], "flowchart TD\n"),
        (["--format", "mermaid"], "flowchart TD\n"),
        (["--format", "svg"], "<svg xmlns="),
        (["--format", "text"], "watch-shop starts every 5 min or by hand.\n"),
    ],
)
def test_drawing_goes_to_standard_output(flows: Command, options: list[str], begins: str) -> None:
    """Nothing else does: it can be piped on."""
    said = flows("graph", "watch-shop", *options)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(begins)


@pytest.mark.parametrize(
    ("file", "options", "begins"),
    [
        ("shop.SVG", [], "<svg"),
        ("shop.svg", ["--format", "text"], "watch-shop starts"),
        ("shop.mmd", [], "flowchart TD"),
        ("shop.txt", [], "watch-shop starts"),
        ("shop", [], "flowchart TD"),
    ],
)
def test_drawing_goes_to_a_file(flows: Command, tmp_path: Path, file: str, options: list[str], begins: str) -> None:
    """Its name says what it is where no format is named; standard output stays empty."""
    said = flows("graph", "watch-shop", "--output", file, *options)
    assert (said.code, said.out) == (0, "")
    assert file in said.err
    assert (tmp_path / file).read_text(encoding="utf-8").startswith(begins)


def test_drawing_for_programs(flows: Command, tmp_path: Path) -> None:
    """One object that holds the drawing, or names the file that does."""
    drawn = flows("graph", "watch-stock", "--format", "svg", "--json").json
    assert (drawn["flow"], drawn["format"]) == ("watch-stock", "svg")
    assert ElementTree.fromstring(drawn["drawing"]).get("role") == "img"
    written = flows("graph", "watch-stock", "-o", "stock.svg", "--json").json
    assert written == {"flow": "watch-stock", "format": "svg", "file": "stock.svg"}


@pytest.mark.parametrize("command", ["show", "graph"])
@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("shop", "Did you mean watch-shop?"),
        ("watch-sotck", "Did you mean watch-stock"),
        ("payroll", "Known: watch-shop, watch-stock."),
    ],
)
def test_unknown_flow_names_those_that_look_like_it(flows: Command, command: str, name: str, near: str) -> None:
    """Exit code 2, and nothing on standard output."""
    said = flows(command, name)
    assert (said.code, said.out) == (2, "")
    assert f'There is no flow "{name}".' in said.err
    assert near in said.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["graph", "watch-shop", "--format", "png"], "'png' is not one of"),
        (["graph", "watch-shop", "--output", "nowhere/shop.svg"], "nowhere/shop.svg cannot be written: No such file"),
        (["graph"], "Missing argument 'FLOW'"),
    ],
)
def test_misuse_is_code_2(flows: Command, arguments: list[str], told: str) -> None:
    """And says what would be right."""
    said = flows(*arguments)
    assert said.code == 2
    assert told in said.err


def test_flows_need_a_module(resolute: Command) -> None:
    """Exit code 2 with the ways to name one."""
    said = resolute("flows", "list")
    assert said.code == 2
    assert "--module" in said.err
