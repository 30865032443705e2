"""Logging of commands: the format that was asked for, on stderr."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from resolute.cli.logs import set_up_logging
from resolute.cli.options import Common
from resolute.errors import ConfigError
from resolute.secrets import Secrets


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and no handler of pytest, which logging would close."""
    monkeypatch.chdir(tmp_path)
    logging.getLogger().handlers.clear()
    return tmp_path


def logged(common: Common, capsys: pytest.CaptureFixture[str]) -> str:
    """The line of a warning."""
    set_up_logging(common)
    logging.getLogger("a.library").warning("it is late")
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "variable", "file", "as_json", "expected"),
    [
        (None, "", "", False, "human"),
        (None, "", "", True, "json"),
        (None, "", "json", False, "json"),
        (None, "human", "json", True, "human"),
        ("json", "human", "human", False, "json"),
    ],
)
def test_option_goes_before_variable_before_file_before_json(
    option: str | None, variable: str, file: str, as_json: bool, expected: str, folder: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Where nothing says how lines look, --json does."""
    monkeypatch.setenv("RESOLUTE_LOG_FORMAT", variable)
    (folder / "resolute.toml").write_text(f'log_format = "{file}"\n' if file else "")
    line = logged(Common(json=as_json, log_format=option), capsys)
    assert line.startswith("{") == (expected == "json")
    assert "it is late" in (json.loads(line)["message"] if expected == "json" else line)


def test_unknown_format_is_told_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the formats that there are."""
    monkeypatch.setenv("RESOLUTE_LOG_FORMAT", "xml")
    with pytest.raises(ConfigError, match="RESOLUTE_LOG_FORMAT: log_format is 'xml', expected human or json"):
        set_up_logging(Common())


def test_lines_of_other_libraries_are_scrubbed_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Every logger comes by the same filters."""
    known = Secrets({})
    known.remember("hunter2hunter2")
    set_up_logging(Common(scrub=known.scrub, verbose=True))
    logging.getLogger("httpx2").info("HTTP Request: POST %s", "https://host/hunter2hunter2")
    logging.getLogger("uvicorn.error").error("refused", exc_info=ValueError("hunter2hunter2"))
    told = capsys.readouterr().err
    assert "hunter2" not in told
    assert "https://host/••••" in told
    assert "ValueError: ••••" in told
