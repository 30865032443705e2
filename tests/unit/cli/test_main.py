"""Exit codes, settings and errors: the same for every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolute.cli.main import exit_code
from resolute.errors import (
    ConfigError,
    EngineError,
    FlowError,
    InputError,
    ProviderRejected,
    ResoluteError,
    RunConflict,
    RunFailed,
    RunNotFound,
    StoreBroken,
    StoreError,
    StoreOwned,
)
from tests.unit.cli.conftest import Command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunFailed("one", "failed", "page", "no"), 1),
        (RunNotFound("no"), 1),
        (EngineError("no"), 1),
        (ProviderRejected("no"), 1),
        (ConfigError("no"), 2),
        (FlowError("f", ["no"]), 2),
        (InputError("no"), 2),
        (RunConflict("no"), 2),
        (StoreError("no"), 3),
        (StoreOwned("no"), 3),
        (StoreBroken("no"), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_has_its_exit_code(error: ResoluteError, code: int) -> None:
    """1 failed, 2 usage or configuration, 3 the store."""
    assert exit_code(error) == code


@pytest.mark.parametrize("arguments", [["runs", "list"], ["runs", "show", "x"], ["incidents"], ["incidents", "1"]])
def test_missing_store_is_code_3_and_stays_missing(resolute: Command, tmp_path: Path, arguments: list[str]) -> None:
    """Reading makes no file; the message names the one that was looked for."""
    said = resolute(*arguments)
    assert said.code == 3
    assert str(tmp_path / "resolute.db") in said.err
    assert not list(tmp_path.iterdir())


def test_store_in_memory_cannot_be_read_by_another_process(resolute: Command) -> None:
    """A sentence instead of an empty list."""
    said = resolute("runs", "list", "--store", "memory:")
    assert said.code == 2
    assert "ends with its process" in said.err


def test_store_comes_from_option_then_environment_then_file(
    resolute: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the option may stand before the command or after it."""
    (tmp_path / "resolute.toml").write_text('store = "sqlite:///file.db"\n')
    assert "file.db" in resolute("incidents").err
    monkeypatch.setenv("RESOLUTE_STORE", "sqlite:///variable.db")
    assert "variable.db" in resolute("incidents").err
    assert "option.db" in resolute("incidents", "--store", "sqlite:///option.db").err
    assert "option.db" in resolute("--store", "sqlite:///option.db", "incidents").err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("module = 7\n", "module is 7, expected a text"),
        ("modul = 'x'\n", "holds modul, which is not known"),
        ("jobs = 'x'\n", "expected a list of paths"),
        ("=\n", "is not TOML"),
    ],
)
def test_fault_in_resolute_toml_names_the_file(resolute: Command, tmp_path: Path, text: str, told: str) -> None:
    """Exit code 2, whichever command reads it."""
    (tmp_path / "resolute.toml").write_text(text)
    said = resolute("jobs", "list")
    assert said.code == 2
    assert told in said.err
    assert "resolute.toml" in said.err


@pytest.mark.parametrize(
    "arguments",
    [["wroker"], ["runs"], ["runs", "list", "--status", "good"], ["incidents", "x"], ["incidents", "0"], ["run"]],
    ids=" ".join,
)
def test_misuse_is_code_2(resolute: Command, arguments: list[str]) -> None:
    """As click tells it, on stderr."""
    said = resolute(*arguments)
    assert said.code == 2
    assert said.err


def test_fault_of_ours_is_a_sentence_and_a_traceback_only_when_asked_for(
    resolute: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised, nobody is met by a traceback at night."""

    def fail(*_: object, **__: object) -> None:
        raise LookupError("this should not be")

    monkeypatch.setattr("resolute.config.load_settings", fail)
    said = resolute("jobs", "list")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "LookupError: this should not be" in said.err
    assert "Traceback" in resolute("jobs", "list", "--debug").err
