"""`PostgresAddress`: where a database is and in which schema our tables stand; it never shows its password."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from resolute.errors import ConfigError

SCHEMES: Final = ("postgresql://", "postgres://")
#: Where our tables stand unless the address names another schema.
DEFAULT_SCHEMA: Final = "resolute"
#: The schema's name stands in statements; quotes and the like have no place in it.
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,50}")
#: Parameters of an address that are secrets, or name one.
_SECRETS: Final = frozenset({"password", "sslpassword", "passfile"})


@dataclass(frozen=True)
class PostgresAddress:
    """A database.

    Attributes:
        url: as libpq takes it, with the password.
        schema: where our tables stand; it is made when it is missing.
        shown: the address as it may be shown.
        passwords: what must not be shown, in every spelling in which it may come back.
    """

    url: str = field(repr=False)
    schema: str
    shown: str
    passwords: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.shown

    def scrub(self, text: str) -> str:
        """The text without the password."""
        for password in self.passwords:
            text = text.replace(password, "••••")
        return text

    @property
    def open_url(self) -> str:
        """As libpq takes it, without the password, which it then asks for or finds where it looks for one."""
        parts = urlsplit(self.url)
        userinfo, at, place = parts.netloc.rpartition("@")
        left = [(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRETS]
        return _joined(parts._replace(netloc=f"{userinfo.partition(':')[0]}{at}{place}"), left)

    @property
    def ledger(self) -> PostgresAddress:
        """Where the incident log stands that several workers share."""
        return self.beside(f"{self.schema}_ledger")

    def beside(self, schema: str) -> PostgresAddress:
        """The same database, with tables in another schema."""
        return PostgresAddress(self.url, schema, self.shown, self.passwords)


def is_postgres(store: str) -> bool:
    """Whether the address of a store means PostgreSQL."""
    return store.startswith(SCHEMES)


def postgres_address(text: str) -> PostgresAddress:
    """The database of "postgresql://user:password@host:5432/name?schema=resolute"; reads nothing.

    Raises:
        ConfigError: it is no such address; the text does not repeat it, for it may hold a password.
    """
    expected = 'Write postgresql://USER@HOST:5432/DATABASE; characters such as "@" or "/" in a password as %40 and %2F.'
    try:
        parts = urlsplit(text)
        host, port, user, password = parts.hostname or "", parts.port, parts.username or "", parts.password or ""
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigError(f"The address of the database cannot be read. {expected}") from None
    if not is_postgres(text) or parts.fragment or "@" in parts.path:
        raise ConfigError(f"The address of the database cannot be read. {expected}")
    schema = dict(given).get("schema", DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise ConfigError(
            f'The schema "{schema}" of the database\'s address is no name for it. Use small letters, digits and "_", '
            "50 of them at most: ?schema=resolute."
        )
    left = [(name, value) for name, value in given if name != "schema"]
    url = _joined(parts, left)
    at = f"{user}@" if user else ""
    place = f"[{host}]" if ":" in host else host
    shown = f"postgresql://{at}{place}{f':{port}' if port else ''}{parts.path}"
    if schema != DEFAULT_SCHEMA:
        shown += f"?schema={schema}"
    secrets = [password, *(value for name, value in left if name in _SECRETS)]
    spelled = {spelling for secret in secrets for spelling in (secret, unquote(secret)) if spelling}
    return PostgresAddress(url, schema, shown, tuple(sorted(spelled, key=len, reverse=True)))


def _joined(parts: SplitResult, parameters: Sequence[tuple[str, str]]) -> str:
    """The address with these parameters; libpq wants its slashes also where there is no host."""
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}"


def extra_missing() -> str | None:
    """What to do where psycopg is not installed; None when it is."""
    if importlib.util.find_spec("psycopg") is not None:
        return None
    return 'PostgreSQL needs the postgres extra, which is not installed: pip install "resolute[postgres]".'
