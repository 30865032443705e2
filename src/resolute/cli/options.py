"""`Common`: the options that every command takes, before its name or after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import click

#: Begins the names of these parameters, so that a command may have its own of the same name.
_OURS: Final = "common_"


@dataclass
class Common:
    """What was asked for, wherever it stood.

    Attributes:
        json: print for programs.
        debug: print the traceback of an error.
        verbose: log more.
        log_format: how log lines look, "human" or "json"; None takes it from the settings.
        scrub: takes secrets out of a text; a command that reads secrets sets it.
    """

    store: str | None = None
    module: str | None = None
    json: bool = False
    debug: bool = False
    verbose: bool = False
    log_format: str | None = None
    scrub: Callable[[str], str] = field(default=lambda text: text, repr=False)


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    common = context.find_object(Common)
    if value and common is not None and option.name is not None:
        setattr(common, option.name.removeprefix(_OURS), value)


def common_options() -> list[click.Option]:
    """The options, made anew for each command."""

    def flag(name: str, text: str, *short: str) -> click.Option:
        names = [f"--{name}", *short, _OURS + name]
        return click.Option(names, is_flag=True, expose_value=False, callback=_keep, help=text)

    def value(name: str, metavar: str, text: str) -> click.Option:
        return click.Option([f"--{name}", _OURS + name], metavar=metavar, expose_value=False, callback=_keep, help=text)

    return [
        value("module", "MODULE", "The flows: a Python file or a dotted module."),
        value("store", "ADDRESS", "The store: sqlite:///PATH (default resolute.db), postgresql://…, or memory:."),
        flag("json", "Print for programs: a list is one JSON array."),
        flag("verbose", "Log more, on stderr.", "-v"),
        click.Option(
            ["--log-format", f"{_OURS}log_format"],
            type=click.Choice(["human", "json"]),
            expose_value=False,
            callback=_keep,
            help="How log lines look; json with --json.",
        ),
        flag("debug", "Print the traceback of an error."),
    ]


def take_common_options(command: click.Command) -> None:
    """Let a command, and each below it, take the common options that it does not define itself."""
    known = {name for parameter in command.params for name in parameter.opts}
    command.params.extend(option for option in common_options() if not known.intersection(option.opts))
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            take_common_options(inner)
