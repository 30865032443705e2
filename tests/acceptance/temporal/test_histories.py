"""What a Temporal server keeps of runs holds no secret, whatever careless activities do with theirs."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from resolute.client import Client
from resolute.errors import RunFailed
from tests.acceptance.temporal.fleet import TOKEN, Fleet
from tests.acceptance.temporal.histories import histories, secrets_in

pytestmark = [pytest.mark.acceptance, pytest.mark.ci_only]


def test_no_secret_is_in_any_history(fleet: Fleet) -> None:
    """Not in inputs, outputs, heartbeats, cursors, failures, memos or children, while a run goes on and afterwards."""
    secrets = [TOKEN, fleet.key, fleet.pagerduty.api_key]
    fleet.up("a")
    fleet.start_runs("telling", {"r": None})
    fleet.until(lambda: b"was refused" in histories(fleet).get("r", b""))  # its second attempt is due in 3 s
    assert not secrets_in(histories(fleet), secrets)

    async def fail(client: Client) -> str:
        with pytest.raises(RunFailed) as failure:
            await client.run("r").result()
        return str(failure.value)

    assert "gave up on" in fleet.ask(fail)
    fleet.until(lambda: len(histories(fleet)) == 2)  # the server lists its child a moment later
    told = histories(fleet)
    assert not secrets_in(told, secrets)
    assert all(b"welcome" in text and b"gave up on" in text for text in told.values())
    assert fleet.stop() == [0]
    assert not any(fleet.holds(secret) for secret in secrets)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(lambda text: text, id="in clear"),
        pytest.param(lambda text: f"x{text}", id="inside of a text"),
        pytest.param(lambda text: base64.b64encode(f"x{text}".encode()).decode(), id="in base64"),
        pytest.param(lambda text: text.encode().hex(), id="in hexadecimal"),
    ],
)
def test_search_finds_what_a_careless_sender_gives_away(fleet: Fleet, code: Callable[[str], str]) -> None:
    """Who has not read a secret cannot know it as one: a run that is started with it in its input holds it."""
    fleet.start_runs("page", {"good": {"key": "disk"}, "careless": {"key": code(TOKEN)}})
    fleet.until(lambda: len(histories(fleet)) == 2)  # the server lists them a moment later
    assert secrets_in(histories(fleet), [TOKEN, fleet.key]) == {("careless", TOKEN)}
