"""`--input key=value` and `--input-file`: what comes of them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from resolute.cli.inputs import read_input
from resolute.errors import ConfigError


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("k=7", 7),
        ("k=true", True),
        ("k=null", None),
        ("k=[1, 2]", [1, 2]),
        ('k={"a": 1}', {"a": 1}),
        ('k="7"', "7"),
        ("k=disk full", "disk full"),
        ("k=", ""),
        ("k=a=b", "a=b"),
        ("k={not json", "{not json"),
        ("k=" + "[" * 100_000, "[" * 100_000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_value_is_json_where_it_is_json_and_text_where_not(pair: str, value: object) -> None:
    """`--input n=7` is a number, `--input title='disk full'` needs no quotes of its own."""
    assert read_input([pair], None) == {"k": value}


def test_declared_text_stays_text() -> None:
    """A title of 1.10 is not 1.1, a key of digits not a number."""
    assert read_input(["title=1.10", "n=1.10"], None, ["title"]) == {"title": "1.10", "n": 1.1}


def test_dot_leads_inside() -> None:
    """`incident.id=7` makes or changes an object."""
    assert read_input(["incident.id=7", "incident.who.name=Ada"], None) == {
        "incident": {"id": 7, "who": {"name": "Ada"}}
    }


def test_nothing_given_is_no_input() -> None:
    """A flow that takes none gets none."""
    assert read_input([], None) is None


def test_pairs_go_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON, TOML, or JSON on standard input."""
    (tmp_path / "a.json").write_text('{"a": 1, "b": {"c": 2}}')
    (tmp_path / "a.toml").write_text("a = 1\n[b]\nc = 2\n")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1, "b": {"c": 2}}'))
    for file in (str(tmp_path / "a.json"), str(tmp_path / "a.toml"), "-"):
        assert read_input(["b.c=3"], file) == {"a": 1, "b": {"c": 3}}


def test_file_alone_may_hold_any_json(tmp_path: Path) -> None:
    """A flow may take a list."""
    (tmp_path / "a.json").write_text("[1, 2]")
    assert read_input([], str(tmp_path / "a.json")) == [1, 2]


@pytest.mark.parametrize(
    ("pairs", "text"),
    [(["k"], None), (["=1"], None), (["a.=1"], None), (["a=1", "a.b=2"], None), ([], "{"), (["k=1"], "[1]")],
    ids=str,
)
def test_fault_is_told(tmp_path: Path, pairs: list[str], text: str | None) -> None:
    """With what was given and what was expected."""
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match="--input"):
        read_input(pairs, None if text is None else str(path))


def test_pair_in_an_error_does_not_show_its_value() -> None:
    """It may be a secret."""
    with pytest.raises(ConfigError) as caught:
        read_input(["=hunter2hunter2"], None)
    assert "hunter2" not in str(caught.value)
