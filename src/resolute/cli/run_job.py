"""`resolute run --job JOB`: one call of a stored activity, one line of JSON as its answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import click

from resolute.calls import job_order
from resolute.cli.inputs import read_input
from resolute.cli.logs import set_up_logging
from resolute.cli.options import Common
from resolute.cli.project import need_temporal, run_to_end, settings
from resolute.cli.terminal import note, pretty, print_json
from resolute.clock import new_id
from resolute.config import store_place, temporal_of
from resolute.engine import RunView
from resolute.engines.embedded.places import engine_of
from resolute.engines.embedded.store import LedgerQuery
from resolute.engines.embedded.store_engine import StoreEngine
from resolute.errors import ConfigError, InputError, RunNotFound, StoreError
from resolute.jobs import Call, Job, find_job, job_activity, prepare_call
from resolute.ledger.intent import PagingActivity, Preparation
from resolute.ledger.row import Row
from resolute.model.activity import Activity
from resolute.oneshot import Once, run_once
from resolute.ports import Ports
from resolute.providers.base import Provider, default_provider
from resolute.providers.pagerduty.config import ROUTING_KEY, PagerDutyConfig, describe_bad_routing_key
from resolute.providers.pagerduty.provider import PagerDutyProvider
from resolute.secrets import mask

#: What a paging job calls its failure; the document of the run job fixes both texts.
ERROR_NAME: Final = "PagerDutyError"
ERROR_TEXT: Final = "PagerDuty API error: "

#: How the client tells of a refusal; what follows are the service's own reasons.
_ANSWERED: Final = re.compile(r"\APagerDuty answered \d+ to POST /v2/enqueue, expected 202 with status success: ")
#: A request is cut off after this time, or after the time for the whole job if that is shorter.
_REQUEST_S: Final = 10.0


@dataclass(frozen=True)
class JobCall:
    """What was asked for; `wait` in seconds."""

    job: str
    pairs: tuple[str, ...]
    input_file: str | None
    run_id: str | None
    wait: float
    dry_run: bool


def run_job(common: Common, asked: JobCall) -> int:
    """Run it and print its answer; the exit code. On stdout there is one line of JSON, whatever happens."""
    ports = Ports()
    common.scrub = ports.secrets.scrub
    try:
        set_up_logging(common, quiet=not common.verbose)
        return _run(common, asked, ports)
    except KeyboardInterrupt:
        print_json({"name": "Interrupted", "value": "The job was interrupted; it is not sent later."})
        raise
    except Exception as error:  # raised again: the answer is all that is added
        print_json({"name": type(error).__name__, "value": common.scrub(str(error))})
        raise


def _run(common: Common, asked: JobCall, ports: Ports) -> int:
    found = settings(common)
    stored = find_job(asked.job, found)
    activity = job_activity(stored.main, found.folder)
    job = stored.with_input(_given(asked, activity), ports.environ)
    wait = timedelta(seconds=asked.wait)
    call = prepare_call(job, wait=wait, folder=found.folder)
    for value in call.secrets.values():
        ports.secrets.remember(value)
    run_id = new_id(ports.clock, ports.randomness) if asked.run_id is None else asked.run_id
    providers = _providers(activity, wait)
    if asked.dry_run:
        return _show_plan(common, call, "" if asked.run_id is None else run_id, ports, providers)
    address = temporal_of(found, None, ports.environ)
    if address is not None:
        need_temporal()
    server = None if address is None else (address, found.task_queue)
    place = store_place(found.store, found.folder)
    engine = None if place is None else engine_of(place)
    once = Once(
        place,
        call.flow,
        run_id,
        call.input,
        providers=providers,
        secrets=call.secrets,
        server=server,
        job=job_order(job, call, wait),
        trigger=call.flow.name,
        on_wait=lambda holder: note(f"waiting for {holder}, which is at work on the store"),
        on_start=lambda run_id: _tell_start(job, run_id),
    )
    try:
        run = run_to_end(run_once(once, ports))
    except KeyboardInterrupt:
        done = run_to_end(_finished(once, engine, ports))
        if done is None or done.status != "succeeded":
            raise
        run = done  # the answer came while it ended
    return _answer(run, call, run_to_end(_row_of(engine, run)))


def _given(asked: JobCall, activity: Activity[Any, Any]) -> Mapping[str, Any]:
    texts = [name for name, parameter in activity.parameters.items() if _is_text(parameter.annotation)]
    given = read_input(asked.pairs, asked.input_file, texts)
    if given is not None and not isinstance(given, dict):
        raise ConfigError(f"{asked.input_file} holds no object, expected the inputs by name.")
    return given or {}


def _is_text(annotation: Any) -> bool:
    return annotation is str or getattr(annotation, "__origin__", None) is str  # Annotated[str, ...]


def _providers(activity: Activity[Any, Any], wait: timedelta) -> Sequence[Provider]:
    """The account that the activity goes through, out of the environment."""
    if activity.provider is None:
        return []
    if activity.provider == PagerDutyProvider.kind and wait.total_seconds() < _REQUEST_S:
        return [PagerDutyProvider(PagerDutyConfig(timeout=max(wait, timedelta(seconds=1))))]
    return [default_provider(activity.provider)]


def _tell_start(job: Job, run_id: str) -> None:
    if sys.stderr.isatty():
        note(f'run {run_id} of the job "{job.name}"; with --run-id {run_id} it can be repeated safely')


async def _finished(once: Once, engine: StoreEngine | None, ports: Ports) -> RunView | None:
    """The run, if it was written down and has finished."""
    with suppress(RunNotFound, StoreError):
        if once.server is not None:
            from resolute.engines.temporal.runs import TemporalRuns  # whose jobs run here needs no extra

            run = await TemporalRuns(*once.server, ports.secrets).ended(once.run_id)
        elif engine is not None:
            run = await engine.get(once.run_id)
        else:
            return None
        return run if run.is_finished else None
    return None


async def _row_of(engine: StoreEngine | None, run: RunView) -> Row | None:
    """The job's row in the incident log."""
    if engine is None:
        return None
    rows = await engine.reader.ledger(LedgerQuery(run_id=run.id))
    return rows[0] if rows else None


def _answer(run: RunView, call: Call, row: Row | None) -> int:
    """Print the one line of JSON; what else there is to say goes to stderr."""
    for remark in row.remarks if row is not None else ():
        note(remark)
    if run.status == "succeeded":
        print_json(run.output)
        return 0
    name, value = "RunFailed", run.error
    if isinstance(call.activity, PagingActivity):
        name, value = ERROR_NAME, ERROR_TEXT + _ANSWERED.sub("", run.error)
    print_json({"name": name, "value": value})
    note(value)
    if row is not None:
        note(f"Row {row.id} of the incident log is {row.status}; `resolute incidents --run {run.id}` shows it.")
    if row is not None and row.status == "undelivered":
        note(f"It is not sent later; --run-id {run.id} sends it again under the same dedup key.")
    return 1


def _show_plan(common: Common, call: Call, run_id: str, ports: Ports, providers: Sequence[Provider]) -> int:
    """Print what would be sent; nothing is sent, nothing written."""
    activity = call.activity
    if not isinstance(activity, PagingActivity):
        problems: list[str] = []
        try:
            activity.validate_inputs({**call.input, **call.secrets})
        except InputError as error:
            problems = [str(error)]
        plan: dict[str, Any] = {"dry_run": True, "would_run": not problems, "activity": activity.name}
        plan |= {"input": {**call.input, **dict.fromkeys(call.secrets, "••••")}, "problems": problems}
    else:
        plan = _page(call, activity, run_id, ports, providers)
    if common.json or not sys.stdout.isatty():
        print_json(plan)
    else:
        click.echo(pretty(plan))
    return 0 if plan.get("would_run", plan.get("would_send")) else 1


def _page(
    call: Call, activity: PagingActivity[Any, Any], run_id: str, ports: Ports, providers: Sequence[Provider]
) -> dict[str, Any]:
    """The event as it would leave, its routing key masked."""
    [node] = call.flow.nodes()
    names = {name: f"input:{name}" for name in call.secrets}
    prepared = Preparation(run_id or "<run id>", node.key, call.flow.name, "", secrets=names)
    intent = activity.prepare(call.input, prepared)
    [provider] = providers
    if isinstance(provider, PagerDutyProvider):
        account = provider.config.resolve(ports.environ)
        address, own_key = f"{account.events_url}/v2/enqueue", account.service_key
    else:
        address, own_key = provider.kind, None
    key = call.secrets.get(intent.key_secret.removeprefix("input:"), "") if intent.key_secret else own_key or ""
    refusal = intent.refusal
    if not refusal and not ROUTING_KEY.fullmatch(key):
        refusal = f"The routing key ({mask(key)}) {describe_bad_routing_key(key)}"
    return {
        "dry_run": True,
        "would_send": not refusal,
        "to": address,
        "event": {"routing_key": mask(key) if key else "", **intent.event},
        "remarks": list(intent.remarks),
        "refusal": refusal,
    }
