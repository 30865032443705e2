"""Where settings come from, and that every wrong one is named with its source."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from resolute.errors import ConfigError
from resolute.providers.pagerduty.config import PagerDutyConfig, PagerDutySettings

REST_KEY = "u+RestKeyRestKey1234"
ROUTING_KEY = "0123456789abcdef0123456789ABCDEF"


def problems_of(config: PagerDutyConfig, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.resolve(environ)
    return str(caught.value).splitlines()[1:]


def test_an_empty_config_resolves_to_the_us_region() -> None:
    """Nothing has to be set: paging with a routing key in the flow needs no account settings."""
    settings = PagerDutyConfig().resolve({})
    assert settings == PagerDutySettings()
    assert (settings.api_url, settings.events_url) == ("https://api.pagerduty.com", "https://events.pagerduty.com")


def test_constructing_never_fails() -> None:
    """A config may hold anything until it is resolved."""
    PagerDutyConfig(api_key=5, region=None, api_url="::", timeout="soon")  # type: ignore[arg-type]


def test_every_setting_is_read_from_the_environment() -> None:
    """The documented variables fill what the config leaves open; blanks around values are dropped."""
    settings = PagerDutyConfig().resolve(
        {
            "PAGERDUTY_API_KEY": f" {REST_KEY}\n",
            "PAGERDUTY_SERVICE_KEY": ROUTING_KEY,
            "PAGERDUTY_FROM": "ops@example.com",
            "PAGERDUTY_REGION": "EU",
            "PAGERDUTY_WEBHOOK_SECRET": "first, second",
        }
    )
    assert settings == PagerDutySettings(
        api_key=REST_KEY,
        service_key=ROUTING_KEY,
        default_from="ops@example.com",
        region="eu",
        api_url="https://api.eu.pagerduty.com",
        events_url="https://events.eu.pagerduty.com",
        webhook_secrets=("first", "second"),
    )


def test_what_is_given_wins_over_the_environment() -> None:
    """A value in the code is meant for this account, a variable for any."""
    config = PagerDutyConfig(api_key=REST_KEY, region="us", webhook_secrets=["a secret"])
    settings = config.resolve(
        {"PAGERDUTY_API_KEY": "other", "PAGERDUTY_REGION": "eu", "PAGERDUTY_WEBHOOK_SECRET": "other"}
    )
    assert (settings.api_key, settings.region, settings.webhook_secrets) == (REST_KEY, "us", ("a secret",))


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    """Mounted secrets end with a newline, which is no part of them."""
    (tmp_path / "key").write_text(f"{REST_KEY}\n")
    settings = PagerDutyConfig().resolve({"PAGERDUTY_API_KEY_FILE": str(tmp_path / "key")})
    assert settings.api_key == REST_KEY


def test_an_empty_variable_counts_as_not_set() -> None:
    """Compose files pass empty variables for what the operator left out."""
    assert PagerDutyConfig().resolve({"PAGERDUTY_API_KEY": "", "PAGERDUTY_API_URL": " "}) == PagerDutySettings()


@pytest.mark.parametrize("content", [None, "", "\udcff"])
def test_a_secret_file_that_gives_nothing_is_named(tmp_path: Path, content: str | None) -> None:
    """A missing, empty or binary file is named with its variable."""
    if content is not None:
        (tmp_path / "key").write_bytes(content.encode("utf-8", "surrogateescape"))
    (problem,) = problems_of(PagerDutyConfig(), PAGERDUTY_SERVICE_KEY_FILE=str(tmp_path / "key"))
    assert "PAGERDUTY_SERVICE_KEY_FILE" in problem
    assert str(tmp_path / "key") in problem


def test_several_faults_are_reported_together() -> None:
    """The operator mends everything in one go, told where each value came from and what to write."""
    config = PagerDutyConfig(region="asia", timeout=timedelta(0))
    found = problems_of(config, PAGERDUTY_FROM="nobody", PAGERDUTY_API_URL="ftp://host", PAGERDUTY_API_KEY="a b")
    assert [problem.split()[1] for problem in found] == [
        "PAGERDUTY_API_KEY",
        "PAGERDUTY_FROM",
        "region=",
        "PAGERDUTY_API_URL",
        "timeout=",
    ]


def test_the_limit_of_a_routing_key_may_be_stated() -> None:
    """Where the account's is known; else it is learned."""
    assert PagerDutyConfig().resolve({}).events_per_minute is None
    assert PagerDutyConfig().resolve({"PAGERDUTY_EVENTS_PER_MINUTE": " 120 "}).events_per_minute == 120
    assert PagerDutyConfig(events_per_minute=600).resolve({"PAGERDUTY_EVENTS_PER_MINUTE": "5"}).events_per_minute == 600


@pytest.mark.parametrize("given", [0, -1, True, 1.5])
def test_a_limit_that_is_none_is_refused(given: int) -> None:
    """Nothing would ever leave."""
    (problem,) = problems_of(PagerDutyConfig(events_per_minute=given))
    assert problem.endswith("expected a whole number above zero, such as 120.")


def test_a_routing_key_given_as_api_key_is_recognised() -> None:
    """The two kinds of keys are mixed up easily: 32 letters and digits are an integration key."""
    (problem,) = problems_of(PagerDutyConfig(), PAGERDUTY_API_KEY=ROUTING_KEY)
    assert "integration key (routing key), not a REST API key" in problem
    assert ROUTING_KEY not in problem


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (REST_KEY, "looks like a REST API key"),
        (ROUTING_KEY[:31] + "-", "other than letters and digits"),
        (ROUTING_KEY + "0", "has 33 characters"),
    ],
)
def test_a_service_key_that_is_no_routing_key_is_described(key: str, words: str) -> None:
    """A REST key given as routing key is the mistake behind most refused events."""
    (problem,) = problems_of(PagerDutyConfig(service_key=key))
    assert problem.startswith("  - service_key= ")
    assert words in problem
    assert key not in problem


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8080/v2",
        "http://127.0.0.1:8080/v2/enqueue",
        "http://127.0.0.1:8080/v2/enqueue/",
        "http://127.0.0.1:8080/v2/change/enqueue",
    ],
)
def test_an_events_address_is_accepted_with_or_without_its_path(url: str) -> None:
    """The documentation shows the whole address, so it is copied whole; plain http serves the simulator."""
    assert PagerDutyConfig(events_url=url).resolve({}).events_url == "http://127.0.0.1:8080"


def test_a_prefix_before_the_events_path_is_kept() -> None:
    """A gateway may serve the API under a path of its own."""
    settings = PagerDutyConfig(events_url="https://gateway/pd/v2/enqueue", api_url="https://gateway/pd/").resolve({})
    assert (settings.events_url, settings.api_url) == ("https://gateway/pd", "https://gateway/pd")


@pytest.mark.parametrize(
    "url", ["api.pagerduty.com", "https://", "https://h:port", "https://h?x=1", "https://h/#x", "https://a b/", "//h"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """A typing error shows at start, not at the first page."""
    (problem,) = problems_of(PagerDutyConfig(), PAGERDUTY_API_URL=url)
    assert problem.startswith("  - PAGERDUTY_API_URL ")
    assert "https://api.pagerduty.com" in problem


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    """Addresses stand in logs and errors."""
    (problem,) = problems_of(PagerDutyConfig(api_url="https://user:hunter2@host"))
    assert "user name or password" in problem
    assert "hunter2" not in problem


def test_webhook_secrets_take_one_text_and_refuse_an_empty_one() -> None:
    """A single secret need not be put in a list."""
    assert PagerDutyConfig(webhook_secrets="secret").resolve({}).webhook_secrets == ("secret",)
    (problem,) = problems_of(PagerDutyConfig(webhook_secrets=["secret", " "]))
    assert "webhook_secrets=" in problem


def test_the_timeout_bounds_the_whole_request() -> None:
    """Connecting and TLS together end before the whole, so that their failure is known as "nothing sent"."""
    settings = PagerDutyConfig(timeout=timedelta(seconds=6)).resolve({})
    assert settings.connect_timeout == timedelta(seconds=2)
    assert (settings.read_timeout, settings.total_timeout) == (timedelta(seconds=6), timedelta(seconds=6))


def test_no_secret_stands_in_a_repr() -> None:
    """Configs end up in logs and tracebacks."""
    config = PagerDutyConfig(
        api_key=REST_KEY, service_key=ROUTING_KEY, webhook_secrets=["shhhhhhh"], api_url="https://u:hunter2@h"
    )
    assert repr(config) == "PagerDutyConfig(api_key=…, service_key=…, api_url=…, webhook_secrets=…)"
    settings = PagerDutyConfig(api_key=REST_KEY, service_key=ROUTING_KEY, webhook_secrets=["shhhhhhh"]).resolve({})
    assert not any(secret in repr(settings) for secret in settings.secrets)
    assert settings.secrets == (REST_KEY, ROUTING_KEY, "shhhhhhh")
