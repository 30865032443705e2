"""The run that a command names: by its id, or by the end of an id that Resolute made."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from typing import Final

from resolute.cli.project import Runs
from resolute.engine import RunQuery, RunView
from resolute.errors import EngineError, RunNotFound, RunPruned

#: Newest runs among which an id is looked for that is not given in full.
LOOKED_AT: Final = 1000
#: An id that Resolute made, and a part of one that is long enough to mean it. Ids that people chose are never
#: completed: "deploy-1" must not become "deploy-12".
_MADE: Final = re.compile(r"[0-9a-hjkmnp-tv-z]{20}")
_PART: Final = re.compile(r"[0-9a-hjkmnp-tv-z]{6,19}")


async def find_run(engine: Runs, given: str) -> RunView:
    """The run with its journal as `Runs.look` gives it.

    Args:
        given: its id, or at least 6 characters from the beginning or end of an id of 20 that Resolute made.

    Raises:
        RunNotFound: no run has such an id; the text names near ones.
        EngineError: several have.
    """
    try:
        return await engine.look(given)
    except RunPruned:
        raise
    except RunNotFound as error:
        ids = [run.id for run in await engine.runs(RunQuery(limit=LOOKED_AT))]
        found = _meant(given, ids)
        if len(found) == 1:
            return await engine.look(found[0])
        if found:
            named = ", ".join(found[:5])
            raise EngineError(f'{len(found)} runs have an id like "{given}": {named}. Give more of it.') from None
        near = _near(given, ids)
        raise RunNotFound(f"{error} Did you mean {near}?" if near else str(error)) from None


async def parent_of(engine: Runs, run: RunView) -> str:
    """The id of the run that started this one as its child, "" for none; a child's id begins with its parent's."""
    if not run.trigger.startswith("child:"):
        return ""
    parts = run.id.split("/")
    for count in range(len(parts) - 1, 0, -1):
        parent, position = "/".join(parts[:count]), "/".join(parts[count:])
        with suppress(RunNotFound):
            found = await engine.look(parent)
            if any(node.kind == "child" and node.position == position for node in found.nodes):
                return parent
    return ""


def _meant(given: str, ids: list[str]) -> list[str]:
    if not _PART.fullmatch(given):
        return []
    return [known for known in ids if _MADE.fullmatch(known) and (known.startswith(given) or known.endswith(given))]


def _near(given: str, ids: list[str]) -> str:
    """Ids of newer runs that look like this one, or begin or end with it."""
    wanted = given.casefold()
    found = [known for known in ids if known.casefold().startswith(wanted) or known.casefold().endswith(wanted)]
    found = found or difflib.get_close_matches(given, ids, 3)
    return " or ".join(found[:3])
