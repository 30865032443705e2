"""`connect`: an open connection to a Temporal server, waited for where it is not up yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, TLSConfig
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from resolute.engines.temporal.address import TemporalAddress
from resolute.engines.temporal.core_log import core_runtime
from resolute.engines.temporal.refusal import refusal, silence
from resolute.errors import ConfigError, StoreUnavailable
from resolute.secrets import Secrets

log = logging.getLogger("resolute.temporal")

#: Waits between two tries to connect, in seconds; the last one is repeated.
TRY_AFTER_S: Final = (0.5, 1.0, 2.0, 5.0)
#: A namespace that forgets finished runs sooner than this is told of.
SHORT_RETENTION: Final = timedelta(days=3)
#: What a server answers to who may not enter, or asks for what it does not have.
_REFUSALS: Final = frozenset({RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.NOT_FOUND})


async def connect(
    address: TemporalAddress,
    converter: DataConverter,
    secrets: Secrets,
    *,
    patience: timedelta | None = timedelta(seconds=10),
    warns: bool = False,
    gives_up: Callable[[], bool] = lambda: False,
) -> Client:
    """A connection to the server; its namespace is there.

    Args:
        secrets: takes the API key out of whatever is told from now on.
        patience: for how long a server that does not answer is tried again, None for ever.
        warns: tell of a namespace that forgets too soon, and of a key that travels in clear.
        gives_up: whether nobody waits for it any more.

    Raises:
        ConfigError: the server refuses us or we do not trust it, or a certificate cannot be read.
        StoreUnavailable: it did not answer in time.
    """
    tls = _tls(address)
    if address.api_key:
        secrets.remember(address.api_key)
        if warns and not address.tls:
            log.warning("the key of TEMPORAL_API_KEY goes to %s in clear, as TEMPORAL_TLS=false says", address.host)
    loop = asyncio.get_running_loop()
    ends_at = None if patience is None else loop.time() + patience.total_seconds()
    tries = 0
    while True:
        try:
            client = await Client.connect(
                address.host,
                namespace=address.namespace,
                api_key=address.api_key,
                tls=tls,
                data_converter=converter,
                runtime=core_runtime(),
            )
            kept = await _retention(client, address)
        except RPCError as error:
            if error.status in _REFUSALS:
                raise _refused(address, error, secrets) from None
            reason = error.message
        except RuntimeError as error:  # what the SDK raises when there is no connection to be had
            reason = str(error)
            if told := refusal(address, reason):
                raise _told(told, reason, secrets) from None
        else:
            if warns and timedelta(0) < kept < SHORT_RETENTION:
                log.warning(
                    "the namespace %s forgets finished runs after %s: until then their ids are refused a second time, "
                    "and `resolute runs` shows them. Keep them for 3 days or more.",
                    address.namespace,
                    kept,
                )
            return client
        reason = secrets.scrub(silence(address, reason))
        if gives_up() or (ends_at is not None and loop.time() >= ends_at):
            raise StoreUnavailable(
                f"The Temporal server {address} does not answer: {reason}. "
                "Start it, or mend RESOLUTE_ENGINE (TEMPORAL_HOST)."
            )
        if tries == 0:
            log.warning("the Temporal server %s does not answer, trying again: %s", address, reason)
        await asyncio.sleep(TRY_AFTER_S[min(tries, len(TRY_AFTER_S) - 1)])
        tries += 1


async def _retention(client: Client, address: TemporalAddress) -> timedelta:
    """For how long the namespace, which has to be there, keeps finished runs."""
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=address.namespace))
    kept: timedelta = found.config.workflow_execution_retention_ttl.ToTimedelta()
    return kept


def _refused(address: TemporalAddress, error: RPCError, secrets: Secrets) -> ConfigError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return ConfigError(
            f'The Temporal server {address.host} has no namespace "{address.namespace}". '
            "Make it (temporal operator namespace create), or name another: temporal://HOST:PORT/NAMESPACE."
        )
    text = f'code: PermissionDenied, message: "{error.message}"'
    return _told(refusal(address, text), text, secrets)


def _told(told: str, text: str, secrets: Secrets) -> ConfigError:
    """What to raise; the server's own text may repeat the key it was given, and goes nowhere as it is."""
    log.debug("the core of Temporal says: %s", secrets.scrub(text))
    return ConfigError(secrets.scrub(told))


def _tls(address: TemporalAddress) -> TLSConfig | bool:
    if not address.tls:
        return False
    return TLSConfig(
        server_root_ca_cert=_read(address.ca),
        domain=address.server_name or None,
        client_cert=_read(address.certificate),
        client_private_key=_read(address.key),
    )


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Name a file in PEM that can be.") from error
