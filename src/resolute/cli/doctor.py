"""`resolute doctor`: examine this installation, and tell the commonest mistakes with their fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from resolute.cli.options import Common

if TYPE_CHECKING:
    from resolute.config import Sourced
    from resolute.doctor.finding import Named, Result
    from resolute.doctor.subject import Subject
    from resolute.worker import Worker

MARKS: Final[dict[Result, tuple[str, str]]] = {
    "problem": ("✗", "red"),
    "warning": ("!", "yellow"),
    "not checked": ("-", "bright_black"),
    "ok": ("✓", "green"),
}


@click.command()
@click.option("--offline", is_flag=True, help="Ask nobody over the network.")
@click.pass_obj
def doctor(common: Common, offline: bool) -> int:
    """Examine this installation: machine, settings, flows, keys, store, and PagerDuty over the network.

    Nothing is changed and nobody is paged: PagerDuty is asked with GET requests only. Exit code 1 when there is a
    problem; a warning alone ends with 0.
    """
    from resolute.cli.terminal import print_json
    from resolute.doctor.account import Network
    from resolute.doctor.examination import examine, has_problem
    from resolute.doctor.visit import Visits

    subject = _subject(common)
    found = examine(subject, Network(None if offline else Visits(subject.clock)))
    if common.json:
        print_json(_json(common, found))
    else:
        _print(common, found)
    return 1 if has_problem(found) else 0


def _subject(common: Common) -> Subject:
    """What can be found out about the installation; what cannot be read is part of it."""
    import os

    from resolute.cli.flow_faults import gathered
    from resolute.config import Sourced, in_force, load_settings, store_place
    from resolute.doctor.subject import Subject
    from resolute.errors import ConfigError
    from resolute.loader import load
    from resolute.postgres.address import PostgresAddress
    from resolute.secrets import Secrets

    secrets = Secrets()
    for name, value in os.environ.items():  # whatever looks like a key is kept out of every text
        if name.endswith(("_KEY", "_SECRET", "_TOKEN", "_PASSWORD")):
            secrets.remember(value.strip())
    common.scrub = secrets.scrub
    try:
        settings = load_settings(store=common.store, module=common.module)
        found = in_force({"store": common.store, "module": common.module})
    except ConfigError as error:
        return Subject(os.environ, settings_fault=str(error))
    worker, module_fault = None, ""
    if settings.module:
        with gathered() as faults:
            try:
                worker = load(settings.module, settings.folder).as_worker()
            except ConfigError as error:
                faults.errors.append(str(error))
        if faults.errors:
            worker, module_fault = None, "\n".join(faults.errors)
    if worker is not None:
        found |= _in_code(worker)
        worker.store_address = common.store or worker.store_address
        if not common.store and worker.store_address:
            found["store"] = Sourced(worker.store_address, "WorkerConfig(engine=...)")
    if found["database"].value:  # without its password
        found["database"] = Sourced(_shown(found["database"].value), found["database"].source)
    place, fault = None, ""
    try:
        place = store_place(found["store"].value, settings.folder)
    except ConfigError as error:
        fault = f"{found['store'].source}: {error}"
    if not isinstance(place, PostgresAddress):
        return Subject(os.environ, found, fault, place, None, worker, module_fault)
    found["store"] = Sourced(str(place), found["store"].source)  # without its password
    return Subject(os.environ, found, fault, None, place, worker, module_fault)


def _shown(address: str) -> str:
    """The address of a database without its password; one that cannot be read is not shown at all."""
    from resolute.errors import ConfigError
    from resolute.postgres.address import postgres_address

    try:
        return str(postgres_address(address))
    except ConfigError:
        return "(not an address)"


def _in_code(worker: Worker) -> dict[str, Sourced]:
    """The settings that the module's own WorkerConfig gives."""
    from resolute.config import SETTINGS, Sourced

    given = {each.name: getattr(worker.config, each.name, None) for each in SETTINGS}
    return {
        name: Sourced(value, f"WorkerConfig({name}=...)") for name, value in given.items() if value not in (None, "")
    }


def _json(common: Common, found: list[Named]) -> dict[str, object]:
    results = [each.finding.result for each in found]
    return {
        "ok": "problem" not in results,
        "problems": results.count("problem"),
        "warnings": results.count("warning"),
        "checks": [
            {
                "check": each.check,
                "result": each.finding.result,
                "text": common.scrub(each.finding.text),
                "fix": common.scrub(each.finding.fix),
            }
            for each in found
        ],
    }


def _print(common: Common, found: list[Named]) -> None:
    width = max(len(each.check) for each in found)
    for each in found:
        mark, colour = MARKS[each.finding.result]
        lines = common.scrub(each.finding.text).splitlines()
        click.echo(f"{click.style(mark, fg=colour)} {each.check:<{width}}  {lines[0]}")
        for line in lines[1:]:
            click.echo(f"  {'':<{width}}  {line}")
        if each.finding.fix:
            click.echo(f"  {'':<{width}}  → {common.scrub(each.finding.fix)}")
    results = [each.finding.result for each in found]
    problems, warnings = results.count("problem"), results.count("warning")
    click.echo(
        f"\n{problems or 'No'} problem{'' if problems == 1 else 's'}, {warnings or 'no'} "
        f"warning{'' if warnings == 1 else 's'}; {results.count('not checked')} of {len(found)} not checked."
    )
