"""The sockets that requests come in on."""

from __future__ import annotations

import socket

import pytest

from resolute.http_server import listen_at, url_of


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_accepted_connection_sends_at_once(host: str) -> None:
    """Nagle's wait, and 40 ms for each answer with it, is off on every connection."""
    with listen_at(host, 0) as listening, socket.create_connection(listening.getsockname()[:2]):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_url_is_one_that_a_client_can_use(host: str, shown: str) -> None:
    """Brackets stand round an IPv6 address."""
    with listen_at(host, 0) as listening:
        assert url_of(host, listening) == f"http://{shown}:{listening.getsockname()[1]}"
