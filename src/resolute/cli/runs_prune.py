"""`resolute runs prune`: take finished runs out of the store, through the worker or, without one, by hand."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from resolute.cli.follow import Screen
from resolute.cli.options import Common
from resolute.cli.project import run_to_end, settings, store_engine
from resolute.cli.terminal import note, print_json, when
from resolute.clock import SystemClock, monotonic
from resolute.config import MOST_DAYS
from resolute.engines.embedded.retention import Selection
from resolute.engines.embedded.space import Space
from resolute.engines.embedded.store_engine import StoreEngine
from resolute.errors import ConfigError, StoreOwned

#: Work that takes no longer is done without a word.
QUIET_S: Final = 0.5
MEGABYTE: Final = 1_000_000

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)")
_UNITS: Final = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """A length of time such as 30d; raises click.BadParameter."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(
            f'"{text}" is no length of time. Write a number and s, min, h, d or w: 30d, 12h, 8w.',
            param_hint="'--older-than'",
        )
    try:
        length = timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        length = timedelta.max
    if length > timedelta(days=MOST_DAYS):
        raise click.BadParameter(f'"{text}" is longer than {MOST_DAYS:,} days.', param_hint="'--older-than'")
    return length


@dataclass(frozen=True)
class Asked:
    """What was asked for."""

    older_than: timedelta | None
    keep: int | None
    flow: str | None
    dry_run: bool
    vacuum: bool


def prune_runs(common: Common, asked: Asked) -> int:
    """Prune, and say how many runs and how much room that was; the exit code."""
    engine = store_engine(common, lambda holder: note(f"waiting for {holder}, which is at work on the store"))
    selection = _selection(common, asked)
    if asked.vacuum and engine.has_worker:
        raise StoreOwned(
            f"A worker runs on {engine.path}, and --vacuum needs the store for itself: nothing was changed. Stop the "
            "worker first, or leave --vacuum out: what is freed is used again, so that the store does not grow."
        )
    before = after = run_to_end(engine.space())
    if asked.dry_run:
        runs = run_to_end(engine.prunable(selection))
    else:
        runs = run_to_end(_prune(engine, selection))
        after = run_to_end(engine.space())
        if asked.vacuum:
            run_to_end(engine.vacuum())
    now = run_to_end(engine.space())
    if common.json:
        print_json(_json(selection, asked, runs, _freed(before, after), now))
        return 0
    click.echo(f"{_told(runs, asked)}: {_which(selection)}.")
    if asked.dry_run:
        click.echo("Nothing was changed: this was --dry-run.")
    else:
        what = "file" if isinstance(engine.path, Path) else "database"
        click.echo(_room(what, before, after, now if asked.vacuum else None))
    return 0


def _selection(common: Common, asked: Asked) -> Selection:
    """What is to go: what was said, or else what a worker prunes by itself; raises ConfigError."""
    older_than, keep = asked.older_than, asked.keep
    if older_than is None and keep is None:
        found = settings(common)
        older_than = timedelta(days=found.keep_days) if found.keep_days else None
        keep = found.keep_runs or None
        if older_than is None and keep is None:
            raise ConfigError(
                "Which runs? The settings keep_days and keep_runs keep all of them. "
                "Say --older-than 30d, or --keep 1000 for the newest of each flow."
            )
    before = None if older_than is None else SystemClock().now() - older_than
    return Selection(before, keep, asked.flow)


async def _prune(engine: StoreEngine, selection: Selection) -> int:
    total, begun_s, screen = await engine.prunable(selection), monotonic(), Screen(sys.stderr)

    def tell(count: int) -> None:
        if screen.can_draw and monotonic() - begun_s > QUIET_S:
            screen.draw([f"pruned {count:,} of {total:,} runs"])

    try:
        return await engine.prune(selection, tell) if total else 0
    finally:
        screen.clear()


def _told(runs: int, asked: Asked) -> str:
    return f"{'Would prune' if asked.dry_run else 'Pruned'} {runs:,} run{'' if runs == 1 else 's'}"


def _which(selection: Selection) -> str:
    """The selection in words."""
    rules = []
    if selection.before is not None:
        rules.append(f"ended before {when(selection.before)} UTC")
    if selection.keep is not None:
        of = "of each flow" if selection.flow is None else f"of {selection.flow}"
        rules.append(f"beyond the newest {selection.keep:,} finished ones {of}")
    named = " or ".join(rules)
    return named if selection.flow is None or selection.keep is not None else f"{named}, of {selection.flow}"


def _freed(before: Space, after: Space) -> int | None:
    """How much more is free now; None where that is not known."""
    if before.free_bytes is None or after.free_bytes is None:
        return None
    return max(0, after.free_bytes - before.free_bytes)


def _room(what: str, before: Space, after: Space, vacuumed: Space | None) -> str:
    """What became of the room that the runs took."""
    if vacuumed is not None:
        return f"The {what} has {_megabytes(vacuumed.bytes)} now; it had {_megabytes(before.bytes)}."
    freed = _freed(before, after)
    if freed is None or after.free_bytes is None:
        return f"The {what} keeps its {_megabytes(after.bytes)}. What was freed is used again before it grows."
    return (
        f"{_megabytes(freed)} were freed. The {what} keeps its {_megabytes(after.bytes)}, of which "
        f"{_megabytes(after.free_bytes)} are used again before it grows."
    )


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"


def _json(selection: Selection, asked: Asked, runs: int, freed: int | None, now: Space) -> dict[str, Any]:
    return {
        "dry_run": asked.dry_run,
        "runs": runs,
        "before": selection.before,
        "keep": selection.keep,
        "flow": selection.flow,
        "freed_bytes": freed,
        "vacuumed": asked.vacuum and not asked.dry_run,
        "file_bytes": now.bytes,
        "free_bytes": now.free_bytes,
    }
