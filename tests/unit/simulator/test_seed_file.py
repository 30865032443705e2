"""Seed files: an account as TOML."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from resolute.errors import ConfigError
from resolute.simulator import PagerDutySimulator, empty_account
from resolute.simulator.pagerduty.rota import first_level
from resolute.simulator.pagerduty.seed_file import plant, read_seed
from tests.unit.simulator.account import START, ManualClock

SHOP = """
abilities = ["teams"]

[rules]
processing_delay_s = 0.5
strict = true
time_zone = "Europe/Berlin"

[[services]]
name = "Checkout"
policy = "Shop"
urgency = "severity_based"
routing_key = "0123456789abcdef0123456789abcdef"
teams = ["Shop"]
acknowledgement_timeout_minutes = 30
grouping = { kind = "time", window_minutes = 5 }
support_hours = { days = [1, 2, 3, 4, 5], start = 09:00:00, end = 17:00:00 }

[[policies]]
name = "Shop"
levels = [["On call"], ["Ada Moreno"]]
delay_minutes = 5
loops = 1

[[schedules]]
name = "On call"
users = ["Ada Moreno", "Ben Okafor"]
turn_hours = 12

[[schedules.overrides]]
user = "Ben Okafor"
start = 2026-03-31T00:00:00Z
end = 2026-04-01T00:00:00Z

[[teams]]
name = "Shop"

[[users]]
name = "Ada Moreno"
role = "admin"
teams = ["Shop"]

[[users]]
name = "Ben Okafor"

[[priorities]]
name = "P1"

[[keys]]
token = "local-key-of-20-char"

[[keys]]
kind = "user"
user = "Ada Moreno"

[[keys]]
kind = "bearer"
scopes = ["incidents.read"]

[[oauth_clients]]
client_id = "app"
client_secret = "hush"
scopes = ["incidents.read"]

[[maintenance]]
services = ["Checkout"]
start = 2026-04-01T00:00:00Z
end = 2026-04-01T01:00:00Z

[[webhooks]]
url = "http://127.0.0.1:8050/hook"
service = "Checkout"
secret = "hush"
headers = { X-Own = "mine" }
"""


def planted(folder: Path, text: str) -> PagerDutySimulator:
    """A simulator with the account of this text."""
    path = folder / "seed.toml"
    path.write_text(text, encoding="utf-8")
    simulator = PagerDutySimulator(ManualClock(), seed=empty_account)
    plant(read_seed(path), simulator)
    return simulator


def test_everything_in_the_file_is_made(tmp_path: Path) -> None:
    """Tables may stand in any order, names tie them together."""
    simulator = planted(tmp_path, SHOP)
    world, service = simulator.world, simulator.world.find_service("Checkout")
    assert service
    assert (simulator.routing_key, simulator.api_key) == ("0123456789abcdef0123456789abcdef", "local-key-of-20-char")
    assert (service.acknowledgement_timeout, world.abilities) == (timedelta(minutes=30), ["teams"])
    policy = world.policies[service.policy_id]
    _, users = first_level(world, policy, START)
    assert [world.users[user_id].name for user_id in users] == ["Ben Okafor"]
    assert (policy.num_loops, policy.levels[0].delay) == (1, timedelta(minutes=5))
    assert [key.kind for key in world.api_keys.values()] == ["account", "user", "bearer"]
    assert world.oauth_clients["app"].secret == "hush"
    [subscription] = simulator.webhooks.subscriptions.all.values()
    assert (subscription.filter_id, subscription.secrets) == (service.id, ["hush"])
    assert (simulator.rules.strict, str(simulator.rules.time_zone)) == (True, "Europe/Berlin")
    assert simulator.rules.processing_delay == timedelta(seconds=0.5)


def test_an_empty_file_is_an_empty_account(tmp_path: Path) -> None:
    """Nothing is made that is not named."""
    assert planted(tmp_path, "").world.users == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[users]", "is not TOML"),
        ("[[users]]\nname = 7", "users.0.name"),
        ("[[users]]\nname = 'Ada'\nnickname = 'A'", "nickname"),
        ("[[users]]\nname = 'Ada'\n[[users]]\nname = 'Ada'", 'makes the user "Ada" twice'),
        ("[[policies]]\nname = 'P'\nlevels = [['Ada']]", 'uses the user or schedule "Ada", which it does not make'),
        ("[[services]]\nname = 'S'\npolicy = 'P'\nrouting_key = 'short'", "services.0.routing_key"),
        ("[[keys]]\nkind = 'user'", 'user = "NAME"'),
        ("[[webhooks]]\nurl = 'http://x'\nevents = ['incident.exploded']", "unknown types: incident.exploded"),
        ("[rules]\ntime_zone = 'Mars/Olympus'", "Mars/Olympus"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    """And where."""
    with pytest.raises(ConfigError) as caught:
        planted(tmp_path, text)
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        read_seed(tmp_path / "nowhere.toml")
