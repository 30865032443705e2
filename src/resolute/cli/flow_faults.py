"""Building every flow of a module although some have faults, so that all of them are told at once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from resolute.errors import FlowError
from resolute.model.flow import FlowBuilder
from resolute.model.recipe import Flow, FlowWarning

#: Where Resolute itself stands: its lines are not what a person has to mend.
_OWN: Final = str(Path(__file__).parents[1])


@dataclass
class Faults:
    """What was found while a module was imported.

    Attributes:
        errors: what is wrong with each flow that could not be built, and where it stands.
        warnings: what is mended when a flow runs.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@contextmanager
def gathered() -> Iterator[Faults]:
    """Gather the faults of the flows that are built meanwhile, in place of raising the first one.

    A flow that cannot be built is an empty one then, which must not be run.
    """
    found = Faults()
    build = FlowBuilder.build

    def build_on(self: FlowBuilder) -> Flow:
        try:
            return build(self)
        except FlowError as error:
            found.errors.append(f"{_where(sys._getframe(1))}{error}")
            return Flow(error.flow, (), ())

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FlowWarning)
        setattr(FlowBuilder, "build", build_on)  # noqa: B010 - for a while, and a type checker objects to assigning it
        try:
            yield found
        finally:
            setattr(FlowBuilder, "build", build)  # noqa: B010
    for each in caught:
        if issubclass(each.category, FlowWarning):
            found.warnings.append(str(each.message))
        else:
            warnings.showwarning(each.message, each.category, each.filename, each.lineno)


def _where(frame: FrameType | None) -> str:
    """The line outside of Resolute from which this was called, as the beginning of a message."""
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}, line {frame.f_lineno}: "
