"""Which Temporal server is meant, and how the connection is secured."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolute.config import load_settings, temporal_of
from resolute.engines.temporal.address import temporal_address
from resolute.errors import ConfigError


@pytest.mark.parametrize(
    ("engine", "environ", "expected"),
    [
        ("temporal://h:7000/n", {}, "temporal://h:7000/n"),
        ("temporal://h", {}, "temporal://h:7233/default"),
        ("temporal://h", {"TEMPORAL_NAMESPACE": "n"}, "temporal://h:7233/n"),
        ("temporal://h/own", {"TEMPORAL_NAMESPACE": "n"}, "temporal://h:7233/own"),
        ("temporal://[::1]:7/n", {}, "temporal://[::1]:7/n"),
    ],
)
def test_an_address_may_leave_out_what_is_usual(engine: str, environ: dict[str, str], expected: str) -> None:
    """Port and namespace; what the address says goes before the environment."""
    assert str(temporal_address(engine, environ)) == expected


@pytest.mark.parametrize(
    "engine", ["temporal://", "temporal:///n", "temporal://h:port/n", "temporal://h/a/b", "temporal://key@h/n"]
)
def test_what_is_no_address_is_refused(engine: str) -> None:
    """With the form that is expected, and without what may be a secret."""
    with pytest.raises(ConfigError, match="temporal://HOST:PORT/NAMESPACE") as caught:
        temporal_address(engine, {})
    assert "key@" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "tls"),
    [
        ({}, False),
        ({"TEMPORAL_TLS": "true"}, True),
        ({"TEMPORAL_API_KEY": "a-long-key"}, True),
        ({"TEMPORAL_API_KEY": "a-long-key", "TEMPORAL_TLS": "false"}, False),
        ({"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "ca.pem"}, True),
        ({"TEMPORAL_TLS_CLIENT_CERT_PATH": "c.pem", "TEMPORAL_TLS_CLIENT_KEY_PATH": "k.pem"}, True),
    ],
)
def test_a_key_or_a_certificate_asks_for_tls(environ: dict[str, str], tls: bool) -> None:
    """Unless the environment says otherwise; and the key is shown nowhere."""
    found = temporal_address("temporal://h", environ)
    assert found.tls is tls
    assert "a-long-key" not in repr(found)


@pytest.mark.parametrize(
    "environ", [{"TEMPORAL_TLS_CLIENT_CERT_PATH": "c.pem"}, {"TEMPORAL_TLS": "perhaps"}], ids=["half", "unclear"]
)
def test_an_unclear_setting_is_refused_by_its_name(environ: dict[str, str]) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match=next(iter(environ))):
        temporal_address("temporal://h", environ)


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        (None, {}, "None"),
        (None, {"TEMPORAL_HOST": "h:1"}, "temporal://h:1/default"),
        (None, {"TEMPORAL_HOST": "h:1", "RESOLUTE_ENGINE": "embedded"}, "None"),
        (None, {"TEMPORAL_HOST": "h:1", "RESOLUTE_ENGINE": "temporal://g/n"}, "temporal://g:7233/n"),
        ("sqlite:///own.db", {"RESOLUTE_ENGINE": "temporal://g/n"}, "None"),
        ("temporal://own", {"RESOLUTE_ENGINE": "embedded"}, "temporal://own:7233/default"),
    ],
)
def test_the_program_goes_before_the_environment(
    tmp_path: Path, given: str | None, environ: dict[str, str], expected: str
) -> None:
    """And the setting before what Temporal's own tools read."""
    settings = load_settings(environ=environ, folder=tmp_path)
    assert str(temporal_of(settings, given, environ)) == expected


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    """A store is no engine: it has a setting of its own."""
    environ = {"RESOLUTE_ENGINE": "sqlite:///x.db"}
    with pytest.raises(ConfigError, match="RESOLUTE_STORE"):
        temporal_of(load_settings(environ=environ, folder=tmp_path), None, environ)
