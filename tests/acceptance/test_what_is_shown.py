"""The pages of `resolute simulator` in a real browser, where there is one: what a person sees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.command import Desk

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""
HOSTILE = "<b>Disk</b> of db-1 <script>document.title = 'taken over'</script>"

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not (BROWSER or os.environ.get("CI")), reason="chromium is not installed"),
]


class Shown(HTMLParser):
    """A page as the browser has it.

    Attributes:
        tags: its elements, by name.
        words: every text, joined by blanks.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += f" {data.strip()}"


def see(url: str, folder: Path) -> Shown:
    """The page once the browser has drawn it."""
    asked = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"]
    done = subprocess.run([*asked, "--dump-dom", url], capture_output=True, text=True, timeout=60, check=True)
    return Shown(done.stdout)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("/?refresh=off", [HOSTILE, "1 triggered", "Acknowledge", "Resolve"]),
        ("/services-page?refresh=off", ["Checkout", "critical", "Ada Moreno"]),
        ("/webhooks-page?refresh=off", ["incident.triggered", "127.0.0.1:9", "active"]),
    ],
)
def test_a_person_sees_what_has_happened(resolute: Desk, tmp_path: Path, page: str, words: list[str]) -> None:
    """An incident, its service and its delivery; whatever stands in a summary is text and nothing else."""
    running = resolute.start("simulator", "--port", "0", "--json")
    said = json.loads(running.wait_for_line("{", "out"))
    method = {"type": "http_delivery_method", "url": "http://127.0.0.1:9/hook"}
    wanted = {"type": "webhook_subscription", "delivery_method": method, "events": ["incident.triggered"]}
    body = {"webhook_subscription": wanted | {"filter": {"type": "account_reference"}}}
    headers = {"authorization": f"Token token={said['api_key']}"}
    assert httpx2.post(f"{said['url']}/webhook_subscriptions", json=body, headers=headers).status_code == 200
    event = {"routing_key": said["service_key"], "event_action": "trigger", "dedup_key": "disk"}
    payload = {"summary": HOSTILE, "source": "db-1", "severity": "critical"}
    assert httpx2.post(f"{said['url']}/v2/enqueue", json={**event, "payload": payload}).status_code == 202
    resolute.wait_for(lambda: "disk" in httpx2.get(f"{said['url']}/_simulator/state").text)
    seen = see(said["url"] + page, tmp_path)
    assert [word for word in words if word not in seen.words] == []
    assert {"b", "script"}.isdisjoint(seen.tags)
