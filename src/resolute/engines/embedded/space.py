"""`Space`: the room that a store takes on its disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Space:
    """The size of a store.

    Attributes:
        bytes: of its file, or of its tables and their indexes.
        free_bytes: of it, what is written to again before it grows; None where that is not known.
    """

    bytes: int
    free_bytes: int | None = None
