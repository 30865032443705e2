"""`Metrics`: what a worker does, counted, in the text format of Prometheus; needs the `server` extra.

Runs and pages are counted from what the journal takes, attempts from hooks, the rest is looked at when it is asked
for. Labels are declared names, statuses and codes: no id, key or text from outside ever stands in one.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final, cast, get_args

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as Total
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from resolute.engine import FINISHED
from resolute.engines.embedded.census import Census, census
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.observed_store import ObservedStore
from resolute.engines.embedded.store import Op, Opened, RunRow, Store
from resolute.errors import StoreError
from resolute.hooks import RunEvent
from resolute.ledger.row import UNSETTLED, LedgerStatus, Row

#: Stands for a flow or an activity that the worker was not given, such as those of jobs.
OTHER: Final = "other"
#: Upper bounds in seconds: from a moment to a week, and from a moment to an hour.
RUN_BUCKETS: Final = (0.1, 1, 10, 60, 300, 1800, 3600, 21600, 86400, 604800)
ATTEMPT_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
#: Runs of which attempts under way are remembered; the oldest are forgotten, and their attempts not timed.
REMEMBERED: Final = 10_000


class Metrics(Collector):
    """Counts for one engine. Make it before the engine is opened.

    Attributes:
        content_type: of what `render` returns.
    """

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, engine: EmbeddedEngine) -> None:
        core, self._registry = engine.core, CollectorRegistry()
        self._flows = {name: frozenset(flow.activities()) for name, flow in core.flows.items()}
        self._run_nos = _Numbers()
        self._row_ids = _Numbers()
        self._unsettled: set[int] = set()
        self._under_way: OrderedDict[str, dict[str, tuple[int, datetime]]] = OrderedDict()

        def total(name: str, told: str, *labels: str) -> Callable[..., Total]:
            return cache(Total(name, told, labels, registry=self._registry).labels)  # which takes its time

        def times(name: str, told: str, buckets: Sequence[float], *labels: str) -> Callable[..., Histogram]:
            return cache(Histogram(name, told, labels, buckets=buckets, registry=self._registry).labels)

        self._started = total("resolute_runs_started", "Runs that were put on disk.", "flow")
        self._finished = total("resolute_runs_finished", "Runs that came to an end.", "flow", "status")
        self._run_s = times("resolute_run_duration_seconds", "From a run's start to its end.", RUN_BUCKETS, "flow")
        self._attempts = total("resolute_attempts", "Attempts that were begun.", "flow", "activity")
        self._failures = total("resolute_attempt_failures", "Attempts that failed.", "flow", "activity")
        self._attempt_s = times(
            "resolute_attempt_duration_seconds", "From an attempt's start to its end.", ATTEMPT_BUCKETS,
            "flow", "activity",
        )  # fmt: skip
        self._commits = Total("resolute_journal_commits", "Batches that the journal took.", registry=self._registry)
        self._settled = total("resolute_ledger_rows_settled", "Sends that were settled.", "status")
        # A rate needs the 0 before the first.
        for settled in sorted(set(get_args(LedgerStatus)) - UNSETTLED):
            self._settled(settled)
        for flow, activities in self._flows.items():
            self._started(flow)
            for status in FINISHED:
                self._finished(flow, status)
            for activity in activities:
                self._attempts(flow, activity)
                self._failures(flow, activity)
        self._registry.register(_Snapshot(engine, core.store, self._flows))
        core.store = cast(Store, ObservedStore(core.store, self))  # it hands on what it does not have itself
        core.hooks.add_counter(self.hear)
        core.count_run = self.walked

    def render(self) -> bytes:
        """The page for Prometheus, as things stand now. Call it where the engine runs."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """What is shown: without the series that say when each other one was begun, which nobody asks for."""
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family

    # What the journal takes

    def opened(self, opened: Opened) -> None:
        """Know what was there before this worker."""
        self._run_nos.start(opened.next_run_no)
        self._row_ids.start(opened.next_row_id)
        self._unsettled = {row.id for row in opened.rows if not row.is_settled}

    def written(self, batch: Sequence[Op]) -> None:
        """Count what a batch says of runs and pages."""
        self._commits.inc()
        for op in batch:
            if isinstance(op, RunRow):
                self._run_written(op)
            elif isinstance(op, Row):
                self._row_written(op)

    def _run_written(self, run: RunRow) -> None:
        if self._run_nos.is_new(run.no):
            self._started(self._flow(run.flow)).inc()
        self._run_ended(run)

    def walked(self, run: RunRow) -> None:
        """Count a run that another journal keeps, as it begins or ends in this process."""
        if run.status == "running":
            self._started(self._flow(run.flow)).inc()
        self._run_ended(run)

    def _run_ended(self, run: RunRow) -> None:
        flow = self._flow(run.flow)
        if run.status in FINISHED:
            self._finished(flow, run.status).inc()
            if run.finished_at is not None:
                self._run_s(flow).observe(_seconds(run.finished_at - run.created_at))

    def _row_written(self, row: Row) -> None:
        is_new = self._row_ids.is_new(row.id)
        if not row.is_settled:
            self._unsettled.add(row.id)
        elif is_new or row.id in self._unsettled:  # not one that changes later, e.g. because its alert is resolved
            self._unsettled.discard(row.id)
            self._settled(row.status).inc()

    # What hooks hear

    def hear(self, event: RunEvent) -> None:
        """Count what an event says of attempts."""
        if event.kind == "run_finished":
            self._under_way.pop(event.run_id, None)
        if not event.activity:
            return
        labels = self._flow(event.flow), self._activity(event.flow, event.activity)
        if event.kind == "attempt_started":
            if self._begin(event):
                self._attempts(*labels).inc()
            return
        begun = self._under_way.get(event.run_id, {}).pop(event.position, None)
        if begun is None and event.kind != "node_failed":  # before this worker, or told already
            return
        # A page is told once, however often it was sent: each of its attempts but the last has failed.
        repeated = 0 if begun is None else max(0, event.attempt - begun[0])
        failed = repeated + (event.kind != "node_finished")
        if repeated:
            self._attempts(*labels).inc(repeated)
        if failed:
            self._failures(*labels).inc(failed)
        if begun is not None and not repeated:
            self._attempt_s(*labels).observe(_seconds(event.at - begun[1]))

    def _begin(self, event: RunEvent) -> bool:
        """Remember an attempt; False for one that is told again because it gave a sign of life."""
        of_run = self._under_way.setdefault(event.run_id, {})
        known = of_run.get(event.position)
        if known is not None and known[0] >= event.attempt:
            return False
        of_run[event.position] = event.attempt, event.at
        if len(self._under_way) > REMEMBERED:
            self._under_way.popitem(last=False)
        return True

    def _flow(self, name: str) -> str:
        return name if name in self._flows else OTHER

    def _activity(self, flow: str, name: str) -> str:
        return name if name in self._flows.get(flow, ()) else OTHER


class _Numbers:
    """Numbers that are given in order and may come out of order: tells when each comes for the first time."""

    def __init__(self) -> None:
        self._next = 1
        self._late: set[int] = set()

    def start(self, next_no: int) -> None:
        """Know the numbers before this one."""
        self._next = next_no

    def is_new(self, no: int) -> bool:
        """Whether the number has not come before."""
        if no < self._next:
            is_late = no in self._late
            self._late.discard(no)
            return is_late
        self._late.update(range(self._next, no))
        self._next = no + 1
        return True


class _Snapshot(Collector):
    """What is looked at when it is asked for."""

    def __init__(self, engine: EmbeddedEngine, store: Store, flows: Mapping[str, Iterable[str]]) -> None:
        self._engine = engine
        self._store = store
        self._flows = flows

    def describe(self) -> Iterator[Metric]:
        return iter(())  # the engine is not looked at before it is open

    def collect(self) -> Iterator[Metric]:
        core, now = self._engine.core, self._engine.core.clock.now()
        counted = self._count()
        yield _gauge("resolute_store_readable", "1 when the numbers of runs could be read.", int(counted is not None))
        if counted is not None:
            runs = GaugeMetricFamily("resolute_runs", "Runs that have not come to an end.", labels=["status"])
            for status, count in counted.runs.items():
                runs.add_metric([status], count)
            yield runs
            ready_s = _age(now, counted.first_due)
            yield _gauge("resolute_oldest_ready_run_age_seconds", "How long the first due run has waited.", ready_s)
        yield _gauge("resolute_live_runs", "Runs that are in memory.", self._engine.live_runs)
        held_s = _age(now, core.store.held_since)
        yield _gauge("resolute_journal_held_seconds", "For how long the journal could not be written.", held_s)
        unsettled = core.log.unsettled()
        statuses = Counter[str](row.status for row in unsettled)
        rows = GaugeMetricFamily("resolute_ledger_rows_unsettled", "Sends that are not settled.", labels=["status"])
        for status in sorted(UNSETTLED):
            rows.add_metric([status], statuses[status])
        yield rows
        oldest_s = _age(now, min((row.since for row in unsettled), default=None))
        yield _gauge("resolute_oldest_unsettled_page_age_seconds", "Age of the oldest unsettled send.", oldest_s)
        yield _total("resolute_ticks", "Scheduled times, by what became of them.", ["flow", "fate"], self._fates())
        yield _total("resolute_hook_errors", "How often a hook raised.", [], {(): core.hooks.errors})
        answers: dict[tuple[str, ...], int] = {
            (str(code),): count for code, count in sorted(core.webhook_answers.items())
        }
        yield _total("resolute_webhook_answers", "Answers to webhooks.", ["code"], answers)

    def _count(self) -> Census | None:
        try:
            return census(self._store)
        except StoreError:  # told by a metric of its own: a page without these numbers is better than none
            return None

    def _fates(self) -> Mapping[tuple[str, ...], int]:
        counts: Counter[tuple[str, ...]] = Counter()
        for flow in self._engine.core.flows.values():
            if flow.schedules and flow.name in self._flows:
                counts.update({(flow.name, fate): 0 for fate in ("run", "missed", "skipped", "paused")})
        for (flow_name, _, fate), count in self._engine.schedules.fates.items():
            counts[flow_name, fate] += count
        return counts


def _gauge(name: str, told: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, told, value=value)


def _total(name: str, told: str, labels: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, told, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _age(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else _seconds(now - since)


def _seconds(passed: timedelta) -> float:
    """A clock that was set back makes no time negative."""
    return max(0.0, passed.total_seconds())
