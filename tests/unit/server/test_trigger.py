"""`webhook(...)`: what `build()` and the start of a worker say about it."""

from __future__ import annotations

import pytest

from resolute import Flow, Worker, WorkerConfig, activity, bearer, flow, github, hmac_sha256, secret, unsigned, webhook
from resolute.drawing.phrases import trigger_text
from resolute.errors import FlowError
from resolute.model.webhook import Webhook
from resolute.ports import Ports

CHECKED = hmac_sha256(secret("HOOK"))


@activity
def note() -> None: ...


def made(*triggers: Webhook, name: str = "hooked") -> Flow:
    return flow(name).triggered_by(*triggers).then(note()).build()


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        (webhook("/a"), "does not check who sends"),
        (webhook("/a", signature="secret"), "which is no check"),  # type: ignore[arg-type]
        (webhook("/a", signature=github), "which is no check"),  # type: ignore[arg-type]
        (webhook("/a", signature=github("HOOK")), 'secret("NAME")'),  # type: ignore[arg-type]
        (webhook("/a", signature=bearer([])), 'secret("NAME")'),
        (webhook("/a", signature=hmac_sha256(secret("A"), header="no header")), "needs the name of a header"),
        (webhook("/a", signature=hmac_sha256(secret("A"), encoding="b64")), '"hex" or "base64"'),  # type: ignore[arg-type]
        (webhook("a", signature=CHECKED), "needs a path"),
        (webhook("/a/", signature=CHECKED), "needs a path"),
        (webhook("/a/../b", signature=CHECKED), "needs a path"),
        (webhook("/a?b=c", signature=CHECKED), "needs a path"),
        (webhook("/" + "a" * 200, signature=CHECKED), "at most 200"),
        (webhook("/a", signature=CHECKED, event_id=""), "says where the id of an event stands"),
        (webhook("/a", signature=CHECKED, event_id="header:"), "says where the id of an event stands"),
        (webhook("/a", signature=CHECKED, headers=["x y"]), "names of headers"),
        (webhook("/a", signature=CHECKED, headers=["X-Signature"]), "holds a secret or a signature"),
        (webhook("/a", signature=unsigned, headers=["Authorization"]), "holds a secret or a signature"),
    ],
)
def test_mistake_is_told_at_build(trigger: Webhook, told: str) -> None:
    """As a sentence, before anything listens."""
    with pytest.raises(FlowError) as caught:
        made(trigger)
    [problem] = caught.value.problems
    assert told in problem


def test_flow_may_have_several_webhooks_but_one_at_a_path() -> None:
    """Two at one path could not be told apart."""
    assert len(made(webhook("/a", signature=CHECKED), webhook("/b", signature=unsigned)).triggers) == 2
    with pytest.raises(FlowError, match='"webhook:/a" stands twice'):
        made(webhook("/a", signature=CHECKED), webhook("/a", signature=unsigned))


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        (webhook("/push", signature=github(secret("A"))), "by webhook /push (GitHub)"),
        (webhook("/any", signature=unsigned), "by webhook /any (unsigned)"),
    ],
)
def test_pictures_say_where_and_how_it_is_checked(trigger: Webhook, text: str) -> None:
    """A reader sees at once which address is open to everybody."""
    assert trigger_text(trigger) == text


def problems(*flows: Flow, webhooks: str | None = "127.0.0.1:0", **environ: str) -> list[str]:
    return Worker(WorkerConfig(webhooks=webhooks), flows=flows, ports=Ports(environ=environ)).problems()


@pytest.mark.parametrize(
    ("webhooks", "environ", "told"),
    [
        ("127.0.0.1:0", {}, 'The webhook /a of flow "hooked" needs the secret HOOK: set HOOK, or HOOK_FILE.'),
        ("127.0.0.1:0", {"HOOK_FILE": "/nowhere/hook"}, "HOOK_FILE names a file that cannot be read"),
        (None, {"HOOK": "x"}, "nothing says where to receive it"),
        (None, {"HOOK": "x", "RESOLUTE_WEBHOOKS": "8020"}, "no address to listen at"),
        ("::1:8020", {"HOOK": "x"}, "no address to listen at"),
        ("localhost:65536", {"HOOK": "x"}, "no address to listen at"),
    ],
)
def test_start_tells_what_is_missing(webhooks: str | None, environ: dict[str, str], told: str) -> None:
    """The operator sets it before the first delivery is lost."""
    [problem] = problems(made(webhook("/a", signature=CHECKED)), webhooks=webhooks, **environ)
    assert told in problem


def test_start_tells_two_flows_at_one_path() -> None:
    """Only one of them could get the deliveries."""
    both = [made(webhook("/a", signature=unsigned), name=name) for name in ("one", "two")]
    assert problems(*both) == ['Flows "one" and "two" have a webhook at /a. Give one another path.']


def test_run_by_hand_needs_neither_address_nor_secret() -> None:
    """`resolute run` receives nothing."""
    worker = Worker(WorkerConfig(), flows=[made(webhook("/a", signature=CHECKED))], ports=Ports(environ={}))
    assert worker.problems(receives=False) == []
