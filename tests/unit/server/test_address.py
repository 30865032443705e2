"""Where a worker receives webhooks: its setting, and what is told when nothing can listen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from resolute import Worker, WorkerConfig, activity, flow, unsigned, webhook
from resolute.config import address_of, load_settings
from resolute.ports import Ports


@activity
def note() -> None: ...


hooked = flow("hooked").triggered_by(webhook("/a", signature=unsigned)).then(note()).build()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8020", ("127.0.0.1", 8020)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:8020", ("::1", 8020)),
        ("::1:8020", None),
        ("8020", None),
        (":8020", None),
        ("host:", None),
        ("host:65536", None),
        ("host:-1", None),
        ("host:²", None),
    ],
)
def test_address_is_host_and_port(text: str, address: tuple[str, int] | None) -> None:
    """An IPv6 host stands in brackets."""
    assert address_of(text) == address


def test_environment_goes_before_the_file(tmp_path: Path) -> None:
    """As for every setting."""
    (tmp_path / "resolute.toml").write_text('webhooks = "127.0.0.1:1"')
    assert load_settings(environ={}, folder=tmp_path).webhooks == "127.0.0.1:1"
    environ = {"RESOLUTE_WEBHOOKS": "127.0.0.1:2"}
    assert load_settings(environ=environ, folder=tmp_path).webhooks == "127.0.0.1:2"


def test_code_goes_before_the_environment() -> None:
    """A wrong address that is not used is not told."""
    config = WorkerConfig(webhooks="127.0.0.1:0")
    assert Worker(config, flows=[hooked], ports=Ports(environ={"RESOLUTE_WEBHOOKS": "wrong"})).problems() == []


def test_missing_extra_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uvicorn a worker with a webhook does not start; any other needs none."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not installed
    config = WorkerConfig(webhooks="127.0.0.1:0")
    [problem] = Worker(config, flows=[hooked], ports=Ports(environ={})).problems()
    assert 'pip install "resolute[server]"' in problem
