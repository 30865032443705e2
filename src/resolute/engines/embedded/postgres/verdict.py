"""What PostgreSQL's errors mean: the session is lost, try again, this one thing is refused, or all is broken."""

from __future__ import annotations

from typing import Final, Literal

import psycopg

Verdict = Literal["lost", "repeat", "refused", "broken"]

#: Classes of SQLSTATE after which the session is gone, or is no use: connection errors, the server stops or starts.
_LOST: Final = ("08", "57P")
#: No room, no memory, too many sessions; a lock is waited for; a standby or a read-only server.
_REPEAT: Final = ("53", "55P03", "55006", "40", "57014", "25006")
#: Our tables are gone or are not ours to write; the server's disk fails.
_BROKEN: Final = ("42", "3F", "3D", "28", "58", "XX")


def judge(error: psycopg.Error) -> Verdict:
    """What an error means for what was tried."""
    code = error.sqlstate
    if code is None:  # libpq's own: it has no server to speak with; or psycopg's: the value cannot be sent
        return "lost" if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else "refused"
    if code.startswith(_LOST):
        return "lost"
    if code.startswith(_REPEAT):
        return "repeat"
    return "broken" if code.startswith(_BROKEN) else "refused"
