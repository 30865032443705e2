"""`TlsProxy`: what stands before a Temporal server that speaks no TLS; and `Certificates`, which both ends show."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

#: What an HTTP/2 client says first, and the kinds of frame that are looked at (RFC 9113, sections 3.4 and 6).
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS = 1, 4
AT_ONCE: Final = 65536


class Certificates:
    """An authority of a test, and what it has signed; made with the program `openssl`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._settings = folder / "openssl.cnf"  # those of the machine would add extensions of their own
        self._settings.write_text("[req]\ndistinguished_name = name\n[name]\n")
        self.authority, self._key = self._made(f"authority of {folder.name}", "CA:TRUE")

    def sign(self, name: str) -> tuple[Path, Path]:
        """A certificate for a name, and its key."""
        signed_by = ("-CA", str(self.authority), "-CAkey", str(self._key))
        return self._made(name, "CA:FALSE", *signed_by, "-addext", f"subjectAltName=DNS:{name}")

    def _made(self, name: str, kind: str, *more: str) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        asked = ("req", "-x509", "-config", str(self._settings), "-subj", f"/CN={name}", "-days", "2")
        keyed = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key))
        files = ("-out", str(certificate), "-addext", f"basicConstraints=critical,{kind}")
        subprocess.run(["openssl", *asked, *keyed, *files, *more], check=True, capture_output=True)
        return certificate, key


class TlsProxy:
    """A server on this machine that speaks TLS with `h2`, and hands on what it hears to one that does not.

    Args:
        port: of the server behind it; None to refuse each call itself, as one does that does not know the caller.
        shows: its certificate and the key to it.
        asks: the authority whose certificates clients have to show, None to let in everybody.

    Attributes:
        port: where it listens.
        heard: what clients have said, in plain.
        says: why it refuses.
    """

    def __init__(self, port: int | None, shows: tuple[Path, Path], asks: Path | None = None) -> None:
        self.port = 0
        self.heard = b""
        self.says = "no entry"
        self._behind = port
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=asks)
        self._tls.verify_mode = ssl.CERT_NONE if asks is None else ssl.CERT_REQUIRED
        self._tls.load_cert_chain(*shows)
        self._tls.set_alpn_protocols(["h2"])
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def speaks(self, version: str) -> None:
        """Speak no newer TLS than this one, such as "TLSv1_2"."""
        self._tls.maximum_version = ssl.TLSVersion[version]

    async def __aenter__(self) -> TlsProxy:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(_Secured(self._tls, reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: _Secured) -> None:
        with closing(client), suppress(OSError, EOFError):  # either end goes, or they do not trust each other
            await client.shake_hands()
            if self._behind is None:
                await self._refuse(client)
                return
            reader, writer = await asyncio.open_connection("127.0.0.1", self._behind)
            with closing(writer):
                await asyncio.gather(self._hand_on(client, writer), _hand_back(reader, client))

    async def _hand_on(self, client: _Secured, server: asyncio.StreamWriter) -> None:
        while True:
            data = await client.read()
            self.heard += data
            server.write(data)

    async def _refuse(self, client: _Secured) -> None:
        """Answer each call with UNAUTHENTICATED (16)."""
        answer = (":status", "200", "content-type", "application/grpc", "grpc-status", "16", "grpc-message", self.says)
        headers = b"".join(map(_literal, answer[::2], answer[1::2]))
        client.write(_frame(SETTINGS, 0, 0))
        assert await client.exactly(len(PREFACE)) == PREFACE
        while True:
            head = await client.exactly(9)
            self.heard += await client.exactly(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind == SETTINGS and not flags:
                client.write(_frame(SETTINGS, 1, 0))
            if kind == HEADERS:
                client.write(_frame(HEADERS, 5, stream, headers))


class _Secured:
    """The near end of a connection. Unlike asyncio's own it tells the other end why it refuses it."""

    def __init__(self, tls: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._came, self._goes, server_side=True)

    async def shake_hands(self) -> None:
        while True:
            try:
                return self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._hear()
            finally:
                self._writer.write(self._goes.read())

    async def read(self, most: int = AT_ONCE) -> bytes:
        while True:
            try:
                data = self._tls.read(most)
            except ssl.SSLWantReadError:
                await self._hear()
                continue
            if not data:
                raise EOFError
            return data

    async def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += await self.read(count - len(data))
        return data

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._writer.write(self._goes.read())

    def close(self) -> None:
        self._writer.close()

    async def _hear(self) -> None:
        self._writer.write(self._goes.read())
        data = await self._reader.read(AT_ONCE)
        if not data:
            raise EOFError
        self._came.write(data)


async def _hand_back(server: asyncio.StreamReader, client: _Secured) -> None:
    while data := await server.read(AT_ONCE):
        client.write(data)
    raise EOFError


def _frame(kind: int, flags: int, stream: int, data: bytes = b"") -> bytes:
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def _literal(name: str, value: str) -> bytes:
    """A header as it is, neither indexed nor compressed (RFC 7541, section 6.2.2)."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))
