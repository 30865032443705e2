"""The picture: an XML file that holds all it needs, and all that it says in words."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from resolute.drawing.svg import svg
from resolute.drawing.words import words
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.steps import NodeStep
from tests.properties.drawing.samples import AWKWARD, EVERYTHING, flows, notify

NAME = "{http://www.w3.org/2000/svg}"


@given(flows)
@settings(max_examples=40, deadline=None)
def test_any_flow_makes_a_file_that_can_be_read(flow: Flow) -> None:
    """Whatever its texts hold: it is XML, it can be written as UTF-8, and it has a name and a description."""
    root = ElementTree.fromstring(svg(flow).encode())
    assert [child.tag.removeprefix(NAME) for child in root[:3]] == ["title", "desc", "style"]
    assert root.get("aria-labelledby") == root[0].get("id")
    assert root.get("aria-describedby") == root[1].get("id")


def test_picture_has_its_words_for_those_who_cannot_see_it() -> None:
    """One picture with a name, and the whole flow step by step."""
    root = ElementTree.fromstring(svg(EVERYTHING))
    assert root.get("role") == "img"
    assert root[0].text == "Flow everything"
    assert root[1].text == words(EVERYTHING)


def test_picture_needs_nothing_else() -> None:
    """No script, no address, no font to load: it may stand on any page."""
    text = svg(EVERYTHING)
    assert not re.search(r"<script|<image|<foreignObject|\son\w+=|href|url\(|@import|@font-face", text)
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]


def test_picture_knows_light_and_dark() -> None:
    """And its rules reach nothing else on the page."""
    style = ElementTree.fromstring(svg(EVERYTHING))[2].text or ""
    light, _, dark = style.strip().partition("@media (prefers-color-scheme:dark){")
    rules = [*light.strip().splitlines(), *dark.strip().splitlines()[:-1]]
    assert all(rule.startswith("#flow-everything .") for rule in rules)
    assert ".label{fill:#e6edf3}" in dark


def test_same_flow_gives_the_same_file() -> None:
    """So that it can be kept beside the flow and compared."""
    assert svg(EVERYTHING) == svg(EVERYTHING)


@pytest.mark.parametrize("key", [key for key in AWKWARD if key.isprintable()])
def test_text_that_was_cut_can_be_read_in_full(key: str) -> None:
    """Pointing at a shape shows all of it."""
    root = ElementTree.fromstring(svg(Flow("f", (), (NodeStep(Node(notify, {}, key)),))))
    assert f"{key}: run notify" in [title.text for title in root.iter(f"{NAME}title")]


def test_lines_of_a_shape_stand_below_each_other() -> None:
    """No line is written over another."""
    for shape in ElementTree.fromstring(svg(EVERYTHING)).iter(f"{NAME}g"):
        rows = [int(text.get("y", "")) for text in shape.iter(f"{NAME}text")]
        assert all(lower - upper >= 14 for upper, lower in pairwise(rows))
