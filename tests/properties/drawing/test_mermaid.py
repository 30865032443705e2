"""Mermaid text: whatever stands in a label is taken literally."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings

from resolute.drawing.mermaid import mermaid
from resolute.drawing.reading import graph_of
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.steps import Each, Loop, NodeStep
from tests.properties.drawing.samples import flows, is_quiet_hour, notify

#: Every line that we write; labels hold no sign that Mermaid, Markdown or HTML would read.
LABEL = r'"(?:[^"<>&`*~$%\[\]{}|;:\\]|<br/>|#\w+;)*"'
SHAPES = r"\(\[L\]\)|\[\[L\]\]|\[\(L\)\]|\[L\]|\{\{L\}\}|\{L\}|\(L\)".replace("L", LABEL)
LINES = re.compile(
    rf" +(?:\w+(?:{SHAPES})(?::::\w+)?|subgraph \w+\[{LABEL}\]|direction TB|end"
    rf"|\w+ (?:-->|-\.->)(?:\|{LABEL}\|)? \w+|classDef \w+ stroke-dasharray: \d \d)"
)


def drawn(key: str) -> str:
    """The label of a node with this key."""
    text = mermaid(graph_of(Flow("f", (), (NodeStep(Node(notify, {}, key)),))))
    [label] = re.findall(r"node\w*\[\"(.*)<br/>notify\"\]", text)
    return str(label)


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("notify_on_call", "notify_on_call"),
        ("_a_ b_", "#95;a#95; b#95;"),
        ('say "hi" [x] {y} <b>', "say #quot;hi#quot; #91;x#93; #123;y#125; #lt;b#gt;"),
        ("#35; & ; : | \\", "#35;35#59; #amp; #59; #58; #124; #92;"),
        ("1. first", "1#46; first"),
        ("- first", "#45; first"),
        ("%%{init}%%", "#37;#37;#123;init#125;#37;#37;"),
        ("fa:fa-bell $$x$$", "fa#58;#8203;fa-bell #36;#8203;#36;x#36;#8203;#36;"),
        ("日本 ünïcode", "日本 ünïcode"),
        ("two\r\nlines\u2028three", "two<br/>lines<br/>three"),
        ("\x00 \ud800", "#92;x00 #92;ud800"),
    ],
)
def test_label_is_taken_literally(key: str, label: str) -> None:
    """Signs that mean something to Mermaid, Markdown or HTML stand as entities, the others as they are."""
    assert drawn(key) == label


@given(flows)
@settings(max_examples=40, deadline=None)
def test_every_line_is_one_of_those_that_mermaid_knows(flow: Flow) -> None:
    """No text of a flow gets out of its quotes."""
    head, *lines = mermaid(graph_of(flow)).splitlines()
    assert head == "flowchart TD"
    assert [line for line in lines if not LINES.fullmatch(line)] == []
    assert sum(line.lstrip().startswith("subgraph ") for line in lines) == sum(line.strip() == "end" for line in lines)


def test_no_edge_joins_a_frame_with_what_it_holds() -> None:
    """Mermaid refuses one: the picture would not appear at all."""
    inner = Each("inner", [1], (NodeStep(Node(notify, {}, "a")),))
    text = mermaid(graph_of(Flow("f", (), (Loop("outer", (inner,), is_quiet_hour),))))
    assert re.findall(r"(\w+) -->\S* (\w+)", text) == [("flow_start", "loop_outer"), ("loop_outer", "flow_end")]
