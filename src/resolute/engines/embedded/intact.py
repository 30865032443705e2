"""Whether a large value is what was written: a store hands out no other."""

from __future__ import annotations

import hashlib

from resolute.errors import StoreDamaged


def intact(content: bytes | None, run_no: int, digest: str, where: str) -> str:
    """The text of a large value of a run; raises StoreDamaged when it is missing or has another digest.

    Args:
        content: the text in UTF-8 as the store has it, None when it has none.
        where: the store, for the error.
    """
    if content is not None and hashlib.sha256(content).hexdigest() == digest:
        return content.decode()
    found = "is not there any more" if content is None else "is not what was written"
    raise StoreDamaged(
        f"The value {digest[:12]}… of run number {run_no} {found} in {where}, expected a text with this SHA-256. "
        "Restore the file from a backup, or cancel the run: it cannot go on without that value."
    )
