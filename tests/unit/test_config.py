"""Settings: command line over environment over `resolute.toml`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from resolute.config import DEFAULT_STORE, WorkerConfig, load_settings, store_path
from resolute.errors import ConfigError


def test_nothing_said_is_the_default(tmp_path: Path) -> None:
    """A store in the working directory, no module, no job files."""
    settings = load_settings(environ={}, folder=tmp_path)
    assert (settings.store, settings.module, settings.jobs) == (DEFAULT_STORE, "", ())


def test_command_line_goes_before_environment_before_file(tmp_path: Path) -> None:
    """What each leaves out comes from the next; an empty variable says nothing."""
    (tmp_path / "resolute.toml").write_text(
        'store = "sqlite:///file.db"\nmodule = "file.py"\njobs = ["ops/page.toml"]\n'
    )
    environ = {"RESOLUTE_STORE": "sqlite:///variable.db", "RESOLUTE_MODULE": " "}
    settings = load_settings(environ=environ, folder=tmp_path)
    assert (settings.store, settings.module) == ("sqlite:///variable.db", "file.py")
    assert settings.jobs == (tmp_path / "ops" / "page.toml",)
    assert load_settings(store="memory:", environ=environ, folder=tmp_path).store == "memory:"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("store = 1\n", "store is 1, expected a text"),
        ("jobs = [1]\n", "expected a list of paths"),
        (
            "stor = 'x'\n",
            "holds stor, which is not known. Known: ",
        ),
        ("log_format = 'xml'\n", "log_format is 'xml', expected human or json"),
        ("store\n", "is not TOML"),
    ],
)
def test_fault_in_the_file_names_it(tmp_path: Path, text: str, told: str) -> None:
    """What is there, what was expected."""
    (tmp_path / "resolute.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"resolute\.toml") as caught:
        load_settings(environ={}, folder=tmp_path)
    assert told in str(caught.value)


def test_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Not a traceback about bytes."""
    (tmp_path / "resolute.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(environ={}, folder=tmp_path)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("sqlite:///resolute.db", "/folder/resolute.db"),
        ("sqlite:///ops/resolute.db", "/folder/ops/resolute.db"),
        ("sqlite:////var/lib/resolute.db", "/var/lib/resolute.db"),
        ("memory:", None),
    ],
)
def test_address_names_a_file(address: str, path: str | None) -> None:
    """Three slashes are relative to the folder, four absolute."""
    assert store_path(address, Path("/folder")) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    "address", ["resolute.db", "sqlite://resolute.db", "sqlite:///", "postgresql://x", "", "memory"]
)
def test_address_that_is_none_shows_how_to_write_one(address: str) -> None:
    """The message holds an example."""
    with pytest.raises(ConfigError, match=r"sqlite:///resolute\.db"):
        store_path(address, Path("/folder"))


@pytest.mark.parametrize(
    "config",
    [
        WorkerConfig(max_concurrent=0),
        WorkerConfig(grace=timedelta(seconds=-1)),
        WorkerConfig(dashboard="8030"),
        WorkerConfig(heartbeat_url="hc.example/secret"),
        WorkerConfig(heartbeat_url="https://hc.example/a secret"),
        WorkerConfig(heartbeat_every=timedelta(0)),
        WorkerConfig(heartbeat_every=timedelta(days=2)),
    ],
)
def test_worker_config_tells_what_is_wrong(config: WorkerConfig) -> None:
    """Making one never fails; the worker's start tells."""
    [problem] = config.problems()
    assert "secret" not in problem
    assert not WorkerConfig().problems()


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", {}, (90, 0)),
        ("keep_days = 7\nkeep_runs = 500\n", {}, (7, 500)),
        ('keep_days = "0.5"\n', {"RESOLUTE_KEEP_RUNS": " 20 "}, (0.5, 20)),
        ("keep_days = 7\n", {"RESOLUTE_KEEP_DAYS": "0"}, (0, 0)),
    ],
)
def test_retention_is_numbers(tmp_path: Path, text: str, environ: dict[str, str], expected: tuple[float, int]) -> None:
    """In TOML as a number or a text, in the environment as a text."""
    (tmp_path / "resolute.toml").write_text(text)
    settings = load_settings(environ=environ, folder=tmp_path)
    assert (settings.keep_days, settings.keep_runs) == expected


@pytest.mark.parametrize(
    "text", ["keep_days = true", "keep_days = -1", "keep_days = nan", 'keep_runs = "many"', "keep_runs = 1.5"]
)
def test_retention_that_is_no_number_names_the_file(tmp_path: Path, text: str) -> None:
    """With what was expected; nothing is pruned by a guess."""
    (tmp_path / "resolute.toml").write_text(text)
    with pytest.raises(
        ConfigError, match=r"resolute\.toml: keep_(days|runs) is .*, expected a (whole )?number from 0 to"
    ):
        load_settings(environ={}, folder=tmp_path)
