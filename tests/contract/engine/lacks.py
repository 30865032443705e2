"""What flows cannot have on Temporal, or have otherwise: tests that need it say so with `needs(...)`."""

from __future__ import annotations

from typing import Final

#: What a test may need → the line of the table "What differs" in docs/howto/temporal.md that tells of it.
LACKS: Final = {
    "decisions": "decisions",
    "environment": "`env(...)`",
    "reasons": "why a changed flow does not fit",
    "order": "steps of a changed flow in another order",
    "retry-notices": "a run that needs attention",
    "blame": "an attempt that is lost with its worker",
    "disk": "a full or broken disk of the worker",
    "clock": "a worker's clock that is set",
    "large-values": "values over 64 KiB",
    "cancel-without-worker": "a cancel while no worker runs",
    "room": "a run that waits for room",
}

#: What a test may need → why it runs on the development server, in real time: the test server does not do that.
TEST_SERVER_LACKS: Final = {
    "repeated-ids": "it does not take the answer of a worker that begins an activity again whose id was cancelled",
    "lost-cancels": "it never gives up an attempt that was told to stop and is lost",
}
