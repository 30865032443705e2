"""The service that breaks: a small shop with a health page, on a socket of this machine."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final

REASON: Final = "no database connection is left"


class Shop:
    """Serves `GET /health` in a thread; `POST /break` and `POST /heal` do what the methods do.

    Attributes:
        url: its address without a path.
    """

    def __init__(self) -> None:
        shop = self

        class Handler(BaseHTTPRequestHandler):
            """Answers for the shop around it."""

            def do_GET(self) -> None:
                if self.path != "/health":
                    self._answer(404, "only /health is here")
                elif shop.is_broken:
                    self._answer(500, REASON)
                else:
                    self._answer(200, "ok")

            def do_POST(self) -> None:
                if self.path not in ("/break", "/heal"):
                    self._answer(404, "only /break and /heal are here")
                    return
                shop.is_broken = self.path == "/break"
                self._answer(200, "broken" if shop.is_broken else "healed")

            def _answer(self, status: int, text: str) -> None:
                body = f"{text}\n".encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing; the demo tells what happens."""

        self.is_broken = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="shop", daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def break_down(self) -> None:
        """Answer with an error from now on."""
        self.is_broken = True

    def heal(self) -> None:
        """Be healthy again."""
        self.is_broken = False

    def __enter__(self) -> Shop:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
