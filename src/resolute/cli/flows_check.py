"""`resolute flows check`: before a deploy, whether the flows are well made and the runs under way can go on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resolute.cli.deploy_check import FlowCheck, Parked
    from resolute.worker import Worker

#: Runs that are named beside each reason; `--json` names all.
NAMED: Final = 3
#: Progress is told after so many runs.
TOLD_EVERY: Final = 200


@click.command("check")
@click.option("--config", is_flag=True, help="Also look for missing secrets, variables, keys and providers.")
@click.pass_obj
def check(common: Common, config: bool) -> int:
    """Build every flow of the module, and tell which unfinished runs of the store would be parked under them.

    Nothing is run and nothing is changed. Exit code 1 when a run would be parked, or with --config something is
    missing; 2 when a flow cannot be built.
    """
    from resolute.cli.flow_faults import gathered
    from resolute.cli.project import find_flows
    from resolute.cli.terminal import note, print_json
    from resolute.errors import ConfigError

    made: Worker | None = None
    with gathered() as faults:
        try:
            made = find_flows(common).as_worker()
            faults.errors.extend(_twice(made))
        except ConfigError as error:
            faults.errors.append(str(error))
    if not common.json:
        for warning in faults.warnings:
            note(warning)
    if made is None or faults.errors:
        if common.json:
            print_json(_json(faults.errors, faults.warnings))
            return 2
        raise ConfigError("\n".join(faults.errors))
    checks = _check_runs(common, made)
    missing = made.problems() if config else []
    if common.json:
        print_json(_json([], faults.warnings, checks, missing))
    else:
        _print(checks, missing)
    return 1 if missing or any(each.parked for each in checks) else 0


def _twice(made: Worker) -> list[str]:
    names = [flow.name for flow in made.flows]
    return [f'Two flows are named "{name}". Rename one.' for name in sorted(set(names)) if names.count(name) > 1]


def _check_runs(common: Common, made: Worker) -> list[FlowCheck]:
    """What becomes of the runs; without a store there are none."""
    import sys

    from resolute.cli.deploy_check import FlowCheck, check_runs
    from resolute.cli.follow import Screen
    from resolute.cli.project import need_temporal, run_to_end
    from resolute.cli.terminal import note
    from resolute.config import database_place, load_settings, store_place, temporal_of
    from resolute.engines.embedded.places import engine_of, reader_of

    settings = load_settings(store=common.store or made.store_address)
    place = store_place(settings.store, settings.folder)
    address = temporal_of(settings, made.config.engine, made.ports.environ)
    if address is not None:
        need_temporal()
        from resolute.cli.deploy_replay import replay_runs
        from resolute.engines.temporal.runs import TemporalRuns

        runs = TemporalRuns(
            address,
            made.task_queue,
            made.ports.secrets,
            store=reader_of(place),
            database=database_place(settings.database),
            flows=made.flows,
        )
        return run_to_end(replay_runs(made.flows, runs))
    if place is None or (isinstance(place, Path) and not (place.exists() or common.store)):
        note(f"There is no store at {place or settings.store}, and so no run to look at.")
        return [FlowCheck(flow.name) for flow in made.flows]
    screen = Screen(sys.stderr)

    def progress(done: int, total: int) -> None:
        if done and not done % TOLD_EVERY:
            screen.draw([f"{done:,} of {total:,} unfinished runs looked at"])

    checks = run_to_end(check_runs(made.all_flows, engine_of(place).reader, progress))
    screen.clear()
    return checks


def _json(
    faults: Sequence[str], warnings: Sequence[str], checks: Sequence[FlowCheck] = (), missing: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "faults": list(faults),
        "warnings": list(warnings),
        "missing": list(missing),
        "flows": [
            {
                "flow": each.flow,
                "state": each.state,
                "unfinished": each.unfinished,
                "changed": each.changed,
                "parked": [{"run_id": parked.run_id, "reason": parked.reason} for parked in each.parked],
            }
            for each in checks
        ],
    }


def _print(checks: Sequence[FlowCheck], missing: Sequence[str]) -> None:
    from resolute.cli.terminal import print_table, shown

    rows = [(each.flow, each.state, each.unfinished or "", len(each.parked) or "") for each in checks]
    print_table(("FLOW", "STATE", "UNFINISHED RUNS", "WOULD BE PARKED"), rows, cut=("FLOW",))
    for each in checks:
        for reason, alike in _by_reason(each.parked).items():
            more = f" and {len(alike) - NAMED} more" if len(alike) > NAMED else ""
            click.echo(f"\n{each.flow}: {', '.join(shown(run.run_id) for run in alike[:NAMED])}{more} would be parked:")
            click.echo(f"  {shown(reason)}")
    if missing:
        click.echo("\nA worker could not start here:")
        for problem in missing:
            click.echo(f"  - {shown(problem)}")
    flows, runs = sum(each.is_known for each in checks), sum(each.unfinished for each in checks)
    parked = sum(len(each.parked) for each in checks)
    click.echo(f"\n{_count(flows, 'flow')} built. {_verdict(runs, parked)}")


def _by_reason(parked: Sequence[Parked]) -> dict[str, list[Parked]]:
    """The runs by why they would be parked, whichever run it tells about; the first one's text stands for all."""
    found: dict[str, list[Parked]] = {}
    for run in parked:
        found.setdefault(re.sub(rf"(?<!\w){re.escape(run.run_id)}(?!\w)", "…", run.reason), []).append(run)
    return {alike[0].reason: alike for alike in found.values()}


def _verdict(runs: int, parked: int) -> str:
    if not runs:
        return "No run is under way."
    if not parked:
        return f"{_count(runs, 'unfinished run')} can go on."
    return f"{parked} of {_count(runs, 'unfinished run')} would be parked."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
