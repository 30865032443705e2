"""What a running worker answers that is asked for its health: by a command on the same machine or beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Final

from resolute.config import DASHBOARD_TOKEN, address_fault, address_of
from resolute.errors import ConfigError, EngineError
from resolute.health_report import HealthReport
from resolute.secrets import lookup

#: For the connection, and again for the answer.
TIMEOUT_S: Final = 5.0
#: A report is shorter.
MAX_BYTES: Final = 1024 * 1024
#: What listens on all interfaces is asked on this machine.
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def ask_health(address: str, environ: Mapping[str, str], path: str = "/health") -> HealthReport:
    """The report of the worker whose dashboard listens at this address.

    Raises:
        ConfigError: it is no address, or the token is missing or wrong.
        EngineError: no worker answers there.
    """
    at = address_of(address)
    if at is None:
        raise ConfigError(address_fault(address))
    token = lookup(DASHBOARD_TOKEN, environ)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = HTTPConnection(_HERE.get(at[0], at[0]), at[1], timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        status, body = answer.status, answer.read(MAX_BYTES)
        asks_for_token = status == 401 and answer.getheader("WWW-Authenticate") == "Bearer"
    except (OSError, HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise EngineError(f"No worker answers at {address}: {why}. Start one, or look at its log.") from error
    finally:
        connection.close()
    if asks_for_token:
        raise ConfigError(
            f"The worker at {address} asks for its token. Set {DASHBOARD_TOKEN}, or {DASHBOARD_TOKEN}_FILE, as there."
        )
    try:
        return HealthReport.from_json(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"What listens at {address} is no worker: it answered {status} without a report. "
            "Let RESOLUTE_DASHBOARD name the address of the worker."
        ) from error
