"""What every test starts from: an environment that says nothing about this machine."""

from __future__ import annotations

import os

import pytest

KEPT = "RESOLUTE_PAGERDUTY_SCHEMA"  # folder of PagerDuty's published schemas; tests that compare with them skip without
PREFIXES = ("PAGERDUTY_", "RESOLUTE_")
PROXIES = ("all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, secret or proxy of this machine reaches a test, nor a process that it starts."""
    for name in list(os.environ):
        if (name.startswith(PREFIXES) and name != KEPT) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
