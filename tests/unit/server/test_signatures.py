"""Checks of who sends a webhook: the vendors' own examples, and everything that must not pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from resolute import bearer, github, hmac_sha256, secret, slack, unsigned
from resolute.model.webhook import Delivery, Signature

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
BODY = b'{"event": "down"}'
KEY = "a-secret-of-this-test"

# docs.github.com, "Validating webhook deliveries", section "Testing the webhook payload validation", read 2026-11.
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

# api.slack.com/authentication/verifying-requests-from-slack, the worked example, read 2026-11.
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_TIME = 1531420618
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def digest(body: bytes = BODY, key: str = KEY) -> bytes:
    return hmac.digest(key.encode(), body, hashlib.sha256)


def passes(check: Signature, headers: Mapping[str, str], *keys: str, body: bytes = BODY) -> bool:
    return check.accepts(Delivery(headers, body), keys or (KEY,), NOW)


def slack_headers(at: int | str = SLACK_TIME, signature: str = SLACK_SIGNATURE) -> dict[str, str]:
    return {"x-slack-request-timestamp": str(at), "x-slack-signature": signature}


@pytest.mark.parametrize("signature", [GITHUB_SIGNATURE, "sha256=" + GITHUB_SIGNATURE[7:].upper()])
def test_github_example_passes(signature: str) -> None:
    """The example of GitHub's documentation, its digits in either case."""
    headers = {"x-hub-signature-256": signature}
    assert passes(github(secret("S")), headers, GITHUB_SECRET, body=GITHUB_BODY)
    assert not passes(github(secret("S")), headers, GITHUB_SECRET, body=GITHUB_BODY + b" ")


def test_slack_example_passes() -> None:
    """The example of Slack's documentation, at its time."""
    at = datetime.fromtimestamp(SLACK_TIME, UTC)
    delivery = Delivery(slack_headers(), SLACK_BODY)
    assert slack(secret("S")).accepts(delivery, [SLACK_SECRET], at)
    assert not slack(secret("S")).accepts(Delivery(slack_headers(), SLACK_BODY + b"x"), [SLACK_SECRET], at)


@pytest.mark.parametrize(("off_s", "accepted"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_slack_time_may_be_five_minutes_off(off_s: int, accepted: bool) -> None:
    """Either way; an older delivery may be one that somebody has recorded."""
    at = datetime.fromtimestamp(SLACK_TIME, UTC) + timedelta(seconds=off_s)
    assert slack(secret("S")).accepts(Delivery(slack_headers(), SLACK_BODY), [SLACK_SECRET], at) is accepted


@pytest.mark.parametrize("at", ["", "now", "-1", "1e9", "9" * 400, "²", "1531420618.0", "+1531420618"])
def test_slack_time_that_is_none_is_refused(at: str) -> None:
    """Nothing but digits is a time, and none of them raises."""
    assert not slack(secret("S")).accepts(Delivery(slack_headers(at), SLACK_BODY), [SLACK_SECRET], NOW)


@pytest.mark.parametrize(
    ("check", "signature"),
    [
        (hmac_sha256(secret("S")), digest().hex()),
        (hmac_sha256(secret("S")), digest().hex().upper()),
        (hmac_sha256(secret("S"), prefix="v1,"), "v1," + digest().hex()),
        (hmac_sha256(secret("S"), encoding="base64"), base64.b64encode(digest()).decode()),
    ],
)
def test_hmac_passes_however_it_is_written(check: Signature, signature: str) -> None:
    """In hexadecimal or base64, with or without a prefix."""
    assert passes(check, {"x-signature": signature})


@pytest.mark.parametrize(
    "given",
    ["", " ", "sha256=", "é" * 64, "ÿ", digest().hex()[:-1], digest().hex() + "0", digest(b"other").hex(), "\x00"],
)
@pytest.mark.parametrize("check", [hmac_sha256(secret("S")), hmac_sha256(secret("S"), encoding="base64")])
def test_hmac_of_garbage_is_refused(check: Signature, given: str) -> None:
    """And raises nothing, whatever stands in the header."""
    assert not passes(check, {"x-signature": given})


def test_signature_that_comes_twice_is_refused() -> None:
    """As the server joins them: which of the two was meant cannot be told."""
    assert not passes(hmac_sha256(secret("S")), {"x-signature": f"{digest().hex()}, {digest().hex()}"})


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        (f"Bearer {KEY}", True),
        (f"bearer  {KEY} ", True),
        (KEY, False),
        (f"Basic {KEY}", False),
        ("Bearer", False),
        ("Bearer ", False),
        (f"Bearer {KEY}x", False),
        ("Bearer é", False),
    ],
)
def test_bearer_token_is_compared_as_a_whole(given: str, accepted: bool) -> None:
    """Behind the scheme, in any case of its letters."""
    assert passes(bearer(secret("S")), {"authorization": given}) is accepted


@pytest.mark.parametrize("key", ["the-new-secret", "the-old-secret"])
def test_any_of_several_secrets_may_have_signed(key: str) -> None:
    """While a secret is changed, deliveries come signed with either."""
    check = hmac_sha256([secret("NEW"), secret("OLD")])
    assert check.secrets == ("NEW", "OLD")
    headers = {"x-signature": digest(key=key).hex()}
    assert passes(check, headers, "the-new-secret", "the-old-secret")
    assert not passes(check, headers, "another")


@pytest.mark.parametrize("check", [github(secret("S")), slack(secret("S")), bearer(secret("S"))])
def test_nothing_passes_without_a_secret(check: Signature) -> None:
    """Neither an empty header nor a signature with an empty key."""
    headers = {"x-hub-signature-256": "sha256=" + digest(key="").hex(), "authorization": "Bearer ", **slack_headers()}
    assert not check.accepts(Delivery(headers, BODY), [], NOW)
    assert not check.accepts(Delivery({}, BODY), [KEY], NOW)


def test_unsigned_lets_everybody_in() -> None:
    """It says so in its name, and needs no secret."""
    assert passes(unsigned, {})
    assert unsigned.secrets == ()
    assert unsigned.problems() == []


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ({"type": "url_verification", "challenge": "3eZbrw1aB"}, "3eZbrw1aB"),
        ({"type": "event_callback"}, None),
        ([], None),
        (None, None),
    ],
)
def test_slack_is_told_its_challenge(body: object, reply: str | None) -> None:
    """Slack asks so whether the address is ours; it is no event."""
    assert slack(secret("S")).reply(body) == reply  # type: ignore[arg-type]
