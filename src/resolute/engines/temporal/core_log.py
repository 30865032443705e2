"""Where Temporal's own core writes its log: to Python's logging, and never to standard output."""

from __future__ import annotations

import logging
from functools import cache

from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter


@cache
def core_runtime() -> Runtime:
    """The runtime of this process; what is expected, such as a server that is away, is told by us."""
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"),
                forwarding=LogForwardingConfig(logger=logging.getLogger("resolute.temporal.core")),
            )
        )
    )
