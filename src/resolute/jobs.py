"""Jobs: stored calls of one activity, in TOML files, and the flow that runs one."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from resolute.config import Settings
from resolute.engines.embedded.core import IN_MEMORY
from resolute.errors import ConfigError
from resolute.model.activity import Activity, Node
from resolute.model.codec import NotJournalable, to_plain
from resolute.model.recipe import Flow
from resolute.model.refs import InputRef, OutputRef, SecretRef
from resolute.model.retry import Retry
from resolute.model.steps import NodeStep
from resolute.model.trigger import Manual
from resolute.secrets import Secrets, lookup

#: Activities that a job may name without a module.
BUILT_IN: Final = {"create_pagerduty_incident": "resolute.providers.pagerduty:create_pagerduty_incident"}
PREFIX: Final = "job:"

#: A whole value of a job file that stands for a variable: `$NAME` or `${NAME}`.
_VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


@dataclass(frozen=True)
class Job:
    """A stored call.

    Attributes:
        main: name of a built-in activity, or "module:function".
        input: argument name → value; a text that is `$NAME` or `${NAME}` and nothing else stands for a variable.
        env: variables that must be set before it runs.
        file: where it stands.
    """

    name: str
    main: str
    input: Mapping[str, Any] = field(default_factory=dict, repr=False)
    env: tuple[str, ...] = ()
    file: Path | None = None

    def with_input(self, given: Mapping[str, Any], environ: Mapping[str, str]) -> Job:
        """The job with some inputs replaced and every variable in the others filled in; its input is plain JSON.

        Raises:
            ConfigError: variables that it needs are not set, all of them named; or an input is no JSON value.
        """
        missing = [name for name in self.env if lookup(name, environ) is None]
        kept = {key: value for key, value in self.input.items() if key not in given}
        filled = {key: _filled(value, environ, missing) for key, value in kept.items()}
        if missing:
            names = ", ".join(dict.fromkeys(missing))
            raise ConfigError(
                f'The job "{self.name}" needs {names}, not set in the environment; nothing was sent. '
                f"Set it, or let {missing[0]}_FILE name a file with the value."
            )
        try:
            plain = to_plain({**filled, **given})
        except NotJournalable as error:
            raise ConfigError(f'The input of the job "{self.name}" is no JSON: {error}. Give JSON values.') from error
        return replace(self, input=plain)


def _filled(value: Any, environ: Mapping[str, str], missing: list[str]) -> Any:
    """The value with variables filled in; adds the name of each that is not set to `missing`."""
    if isinstance(value, dict):
        return {key: _filled(inner, environ, missing) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, environ, missing) for inner in value]
    found = _VARIABLE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return value
    name = found[1] or found[2]
    text = lookup(name, environ)
    if text is None:
        missing.append(name)
    return text


def read_job(path: Path) -> Job:
    """The job in a file; raises ConfigError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no job file {path}. Give the path of a TOML file with a [job] table.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    table = content.get("job")
    if not isinstance(table, dict):
        raise ConfigError(f"{path} has no [job] table. Write [job] with name and main, and [job.input].")
    unknown = sorted(set(table) - {"name", "main", "env", "input"})
    if unknown:
        raise ConfigError(f"{path}: [job] holds {', '.join(unknown)}; it takes name, main, env and input.")
    name, main, env, given = table.get("name"), table.get("main"), table.get("env", []), table.get("input", {})
    for key, value in (("name", name), ("main", main)):
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f'{path}: [job] {key} is {value!r}, expected a text: {key} = "...".')
    if not isinstance(env, list) or not all(isinstance(item, str) for item in env):
        raise ConfigError(f'{path}: [job] env is {env!r}, expected names of variables: env = ["PAGERDUTY_API_KEY"].')
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: [job.input] is no table. Write [job.input] and a line for each input.")
    return Job(str(name).strip(), str(main).strip(), given, tuple(env), path)


def job_files(settings: Settings) -> list[Path]:
    """Job files: those named in the settings, then those with a [job] in the folder and its `jobs/`."""
    found = list(settings.jobs)
    for folder in (settings.folder, settings.folder / "jobs"):
        for path in sorted(folder.glob("*.toml")):
            if path not in found and _is_job(path):
                found.append(path)
    return found


def _is_job(path: Path) -> bool:
    try:
        return "job" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return path.parent.name == "jobs"  # a broken file there is told when it is read; elsewhere it is not ours


def find_job(name: str, settings: Settings) -> Job:
    """The job of this name, or in this file; raises ConfigError."""
    if name.endswith(".toml"):
        return read_job(settings.folder / name)
    jobs: list[Job] = []
    faults: list[str] = []
    for path in job_files(settings):
        try:
            jobs.append(read_job(path))
        except ConfigError as error:  # a broken file keeps no other job from being run
            faults.append(str(error))
    matching = [job for job in jobs if job.name == name.strip()]
    if len(matching) > 1:
        raise ConfigError(f'The job "{name}" stands in {matching[0].file} and {matching[1].file}. Rename one.')
    if matching:
        return matching[0]
    names = [job.name for job in jobs]
    near = difflib.get_close_matches(name, names, 1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    listed = ", ".join(f'"{known}"' for known in names) or "none"
    raise ConfigError(
        " ".join(
            [
                f'There is no job "{name}".{hint} Known: {listed}. Jobs are *.toml files with a [job] table in '
                f"{settings.folder}, its jobs/, or named in resolute.toml (jobs = [...]).",
                *faults,
            ]
        )
    )


def job_activity(main: str, folder: Path | None = None) -> Activity[Any, Any]:
    """The activity that a job calls; raises ConfigError.

    Args:
        folder: where modules are looked for as well.
    """
    target = BUILT_IN.get(main, main)
    module, separator, name = target.partition(":")
    if not separator or not module or not name:
        known = ", ".join(BUILT_IN)
        raise ConfigError(f'The job\'s main "{main}" is not known. Use one of {known}, or "module:function".')
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # a module may raise anything while it is imported
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f'The job\'s main "{main}" cannot be imported: {reason}. Mend the module.') from error
    if not isinstance(found, Activity):
        raise ConfigError(f'The job\'s main "{main}" is no activity. Put @activity on the function.')
    return found


@dataclass(frozen=True)
class Call:
    """A job that is ready to run: its flow, its input and its secret inputs."""

    flow: Flow
    activity: Activity[Any, Any]
    input: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)


def prepare_call(job: Job, *, wait: timedelta | None = None, folder: Path | None = None) -> Call:
    """A job as a flow of one node with its input. What is secret in it stands nowhere else in the input.

    Args:
        job: as `Job.with_input` returns it.
        wait: how long it is tried, instead of the activity's own time.
        folder: where the module of its `main` is looked for as well.

    Raises:
        ConfigError: main is not known, an input is not one of its arguments, or one that it needs is missing.
    """
    activity = job_activity(job.main, folder)
    known = ", ".join(activity.parameters)
    unknown = [name for name in job.input if name not in activity.parameters and not activity.takes_any_keyword]
    if unknown:
        raise ConfigError(f"{activity.name} has no input {', '.join(unknown)}. It takes: {known}.")
    missing = [name for name, p in activity.parameters.items() if p.is_required and name not in job.input]
    if missing and not activity.is_paging:  # what pages tells of it in its row
        raise ConfigError(f"{activity.name} needs the input {', '.join(missing)}. Add it to [job.input] or --input.")
    secret = {name for name, parameter in activity.parameters.items() if parameter.is_secret}
    secrets = {name: value.strip() for name, value in job.input.items() if name in secret and _is_text(value)}
    hidden = Secrets({})
    for value in secrets.values():
        hidden.remember(value)
    plain = {name: _hide(value, hidden) for name, value in job.input.items() if name not in secret}
    retry = None if wait is None else replace(activity.retry, deadline=wait)
    return Call(job_flow(job.name, activity, plain, secrets, retry), activity, plain, secrets)


def job_flow(
    name: str, activity: Activity[Any, Any], inputs: Iterable[str], secrets: Iterable[str], retry: Retry | None = None
) -> Flow:
    """The flow of one node that runs a job; its input holds the plain arguments."""
    arguments: dict[str, Any] = {key: InputRef((key,)) for key in inputs}
    arguments |= {key: SecretRef(IN_MEMORY + key) for key in secrets}
    node = Node(activity, arguments, retry=retry)
    return Flow(PREFIX + name, (Manual("job"),), (NodeStep(node),), result=OutputRef(node.key, ()))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _hide(value: Any, secrets: Secrets) -> Any:
    """The value with dots in place of every secret, wherever it stands."""
    if isinstance(value, dict):
        return {key: _hide(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner, secrets) for inner in value]
    return secrets.scrub(value) if isinstance(value, str) else value
