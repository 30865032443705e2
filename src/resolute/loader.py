"""Finds the flows, providers and worker in a module that a person names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Final

from resolute.errors import ConfigError, FlowError
from resolute.model.recipe import Flow, with_children
from resolute.providers.base import Provider
from resolute.worker import Worker

#: Where Resolute itself stands: its lines are not what a person has to mend.
_OWN: Final = str(Path(__file__).parent)


@dataclass(frozen=True)
class Found:
    """What a module holds at its top level; among the flows also those that they start runs of."""

    name: str
    worker: Worker | None = None
    flows: tuple[Flow, ...] = ()
    providers: tuple[Provider, ...] = field(default=())

    def as_worker(self) -> Worker:
        """The module's worker, or one of its flows and providers; raises ConfigError."""
        if self.worker is not None:
            return self.worker
        if not self.flows:
            raise ConfigError(
                f'"{self.name}" holds neither a Worker nor a flow. Make one at the top level: '
                'my_flow = flow("my-flow")....build().'
            )
        return Worker(flows=self.flows, providers=self.providers)


def load(name: str, folder: Path) -> Found:
    """Import a Python file or dotted module and find what it holds at its top level.

    Raises:
        ConfigError: it cannot be found or imported; the text shows the line at fault.
    """
    values = list(vars(_import(name, folder)).values())
    flows = dict.fromkeys(value for value in values if isinstance(value, Flow))
    workers = list(dict.fromkeys(value for value in values if isinstance(value, Worker)))
    providers = {id(value): value for value in values if _is_provider(value)}
    if len(workers) > 1:
        raise ConfigError(f'"{name}" holds {len(workers)} workers, expected one. Keep one at the top level.')
    return Found(name, workers[0] if workers else None, with_children(flows), tuple(providers.values()))


def _is_provider(value: object) -> bool:
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("kind", "paging", "problems", "open"))


def _import(name: str, folder: Path) -> ModuleType:
    try:
        if name.endswith(".py") or "/" in name:
            return _import_file(folder / name)
        _look_in(folder)
        return importlib.import_module(name)
    except ConfigError:
        raise
    except FlowError as error:
        raise ConfigError(f'"{name}" holds a flow with faults. {_where(error)}{error}') from error
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and f"{name}.".startswith(f"{missing}."):
            raise ConfigError(
                f'There is no module "{name}" here. Give a file (flows.py) or a dotted module that Python can import.'
            ) from error
        raise ConfigError(
            f'"{name}" imports {missing}, which is not installed. {_where(error)}Install it, or mend the import.'
        ) from error
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise ConfigError(
            f"{error.filename}, line {error.lineno}, is no Python: {error.msg}: {line}. Mend the line."
        ) from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f'"{name}" cannot be imported: {reason}. {_where(error)}Mend it there.') from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"There is no file {path}. Give the path of a Python file with flows, or a dotted module.")
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"{path.stem} (flows)" if taken else path.stem  # a file may have the name of a module that others need
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file. Give one that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _look_in(path.parent)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _look_in(folder: Path) -> None:
    """Let what is imported from now on be found in this folder, too."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _where(error: BaseException) -> str:
    """The line that raised it, as a sentence; "" when that is not known."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib") and not frame.filename.startswith(_OWN)
    ]
    return f"See line {frames[-1].lineno} of {frames[-1].filename}. " if frames else ""
