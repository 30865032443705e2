"""`TemporalAddress`: which Temporal server a worker or a command talks to, and how it proves who it is.

Read from `temporal://HOST:PORT/NAMESPACE` and from the variables that Temporal's own tools read. Nothing is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from resolute.errors import ConfigError
from resolute.secrets import lookup

#: What the address of this engine begins with.
SCHEME: Final = "temporal"
#: Where a server listens unless told otherwise.
PORT: Final = 7233
#: The namespace that every server has.
NAMESPACE: Final = "default"

_EXPECTED: Final = "Write temporal://HOST:PORT/NAMESPACE, e.g. temporal://127.0.0.1:7233/default."
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True)
class TemporalAddress:
    """A server and a namespace on it.

    Attributes:
        host: "HOST:PORT".
        tls: whether the connection is encrypted; an API key or a certificate asks for it by itself.
        ca, certificate, key: files in PEM: whom to trust, and who we are; None for the system's own, and for nobody.
        server_name: the name that the server's certificate has to bear, "" for that of the host.
    """

    host: str
    namespace: str = NAMESPACE
    tls: bool = False
    api_key: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}://{self.host}/{self.namespace}"


def is_temporal(engine: str | None) -> bool:
    """Whether an engine's address names a Temporal server."""
    return bool(engine) and str(engine).partition(":")[0] == SCHEME


def temporal_address(engine: str, environ: Mapping[str, str]) -> TemporalAddress:
    """The server that an engine's address names, with what the environment says of the connection.

    Raises:
        ConfigError: the address or a variable cannot be understood; the text names it.
    """
    host, namespace = _parts(engine)
    certificate, key = _file("TEMPORAL_TLS_CLIENT_CERT_PATH", environ), _file("TEMPORAL_TLS_CLIENT_KEY_PATH", environ)
    if (certificate is None) != (key is None):
        raise ConfigError(
            "A client certificate needs its key: set both TEMPORAL_TLS_CLIENT_CERT_PATH and "
            "TEMPORAL_TLS_CLIENT_KEY_PATH, or neither."
        )
    ca = _file("TEMPORAL_TLS_SERVER_CA_CERT_PATH", environ)
    api_key = lookup("TEMPORAL_API_KEY", environ)
    asked = _switch("TEMPORAL_TLS", environ)
    return TemporalAddress(
        host=host,
        namespace=namespace or environ.get("TEMPORAL_NAMESPACE", "").strip() or NAMESPACE,
        tls=any((api_key, ca, certificate)) if asked is None else asked,
        api_key=api_key,
        ca=ca,
        certificate=certificate,
        key=key,
        server_name=environ.get("TEMPORAL_TLS_SERVER_NAME", "").strip(),
    )


def engine_named(environ: Mapping[str, str]) -> str:
    """The address that `TEMPORAL_HOST` and `TEMPORAL_NAMESPACE` stand for, "" without them."""
    host = environ.get("TEMPORAL_HOST", "").strip()
    if not host:
        return ""
    namespace = environ.get("TEMPORAL_NAMESPACE", "").strip() or NAMESPACE
    return f"{host if is_temporal(host) else f'{SCHEME}://{host}'}/{namespace}"


def _parts(engine: str) -> tuple[str, str]:
    """Host with port, and namespace or ""; raises ConfigError."""
    try:
        found = urlsplit(engine)
        host, port = found.hostname or "", found.port or PORT
    except ValueError as error:
        raise ConfigError(f'"{engine}" is no address of a Temporal server: {error}. {_EXPECTED}') from None
    namespace = unquote(found.path.strip("/"))
    if found.scheme != SCHEME or not host or "/" in namespace or found.query or found.fragment or "@" in found.netloc:
        raise ConfigError(
            f'"{_without_user(engine)}" is no address of a Temporal server. {_EXPECTED} '
            "An API key stands in TEMPORAL_API_KEY, certificates in TEMPORAL_TLS_CLIENT_CERT_PATH and "
            "TEMPORAL_TLS_CLIENT_KEY_PATH."
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}", namespace


def _without_user(engine: str) -> str:
    """The address without what stands before an @, which may be a secret."""
    scheme, separator, rest = engine.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _file(name: str, environ: Mapping[str, str]) -> Path | None:
    text = environ.get(name, "").strip()
    return Path(text) if text else None


def _switch(name: str, environ: Mapping[str, str]) -> bool | None:
    """Yes, no, or None when nothing is said; raises ConfigError."""
    text = environ.get(name, "").strip().lower()
    if not text:
        return None
    if text in _YES or text in _NO:
        return text in _YES
    raise ConfigError(f'{name} is "{text}", expected true or false.')
