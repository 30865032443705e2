"""The `resolute` command: finds the command that was named, and turns every error into a message and an exit code.

| code | means |
|---|---|
| 0 | done |
| 1 | failed: the run, the page, or something that was asked for does not exist |
| 2 | usage or configuration: nothing was sent |
| 3 | the store is owned by another process, missing, or cannot be read or written |
| 130 | interrupted by Ctrl-C or SIGTERM |
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Final, NoReturn

import click

from resolute.cli.options import Common, take_common_options
from resolute.errors import ConfigError, FlowError, InputError, ResoluteError, RunConflict, StoreError

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
NO_STORE: Final = 3
INTERRUPTED: Final = 130

#: Command → where it stands and its line in `resolute --help`. Imported when it is named, not before.
COMMANDS: Final = {
    "demo": ("resolute.cli.demo:demo", "Watch an incident handled from start to end, on this machine."),
    "worker": ("resolute.cli.worker:worker", "Run the flows of a module until stopped."),
    "run": ("resolute.cli.run:run", "Run a flow, or a job, once."),
    "runs": ("resolute.cli.runs:runs", "List runs, or show what one has done."),
    "flows": ("resolute.cli.flows:flows", "List, show, draw or check the flows of a module."),
    "schedule": ("resolute.cli.schedule:schedule", "Show, pause, resume or fire what starts by itself."),
    "incidents": ("resolute.cli.incidents:incidents", "Show what was sent to PagerDuty, and what came of it."),
    "pagerduty": ("resolute.cli.pagerduty:pagerduty", "Page, acknowledge, resolve and look things up by hand."),
    "backup": ("resolute.cli.backup:backup", "Copy the store, also while a worker writes it."),
    "doctor": ("resolute.cli.doctor:doctor", "Find the commonest mistakes of an installation, and their fixes."),
    "health": ("resolute.cli.health:health", "Ask the running worker whether it is well."),
    "jobs": ("resolute.cli.jobs:jobs", "List or show the jobs in this folder."),
    "simulator": ("resolute.cli.simulator:simulator", "Serve a local PagerDuty to try things on."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), name)
            take_common_options(command)
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from importlib import metadata  # 20 ms that only this option pays

        try:
            click.echo(f"resolute {metadata.version('resolute')}")
        except metadata.PackageNotFoundError:
            click.echo("resolute, from its source and not installed")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def resolute() -> None:
    """Durable incident automation: every page delivered, none twice.

    \b
    resolute demo                            see it work
    resolute worker flows.py                 run flows
    resolute run --job "Create Incident"     send one page
    resolute incidents                       what was sent, and what came of it

    Settings come from the command line, else from RESOLUTE_STORE and RESOLUTE_MODULE, else from resolute.toml here.
    """


take_common_options(resolute)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    code = run(arguments)
    if "temporalio" in sys.modules:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End the process as it stands: a thread of Temporal's core may be inside an interpreter that is taken down.

    Python would abort then (SIGABRT), after the command has done its work.
    """
    import logging  # which --help does without

    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # who read our output has had enough
            stream.flush()
    os._exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # half a character in a title must not cost the answer
    common = Common()
    try:
        code = _run(common, arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(common: Common, arguments: Sequence[str] | None) -> int:
    try:
        code = resolute.main(
            arguments,
            prog_name="resolute",
            standalone_mode=False,
            obj=common,
            color=False if os.environ.get("NO_COLOR") else None,
        )
        return code if isinstance(code, int) else DONE
    except click.ClickException as error:
        error.show()
        return MISUSED
    except (click.Abort, KeyboardInterrupt):
        click.echo("resolute: interrupted.", err=True)
        return INTERRUPTED
    except ResoluteError as error:
        _tell(common, error, str(error))
        return exit_code(error)
    except BrokenPipeError:
        raise
    except Exception as error:  # the last place that can turn a fault of ours into a sentence
        text = f"{type(error).__name__}: {error}. This was not foreseen."
        _tell(common, error, text if common.debug else f"{text} Repeat it with --debug to see where it comes from.")
        return FAILED


def exit_code(error: ResoluteError) -> int:
    """What an error means to a script."""
    if isinstance(error, StoreError):
        return NO_STORE
    if isinstance(error, ConfigError | FlowError | InputError | RunConflict):
        return MISUSED
    return FAILED


def _tell(common: Common, error: Exception, text: str) -> None:
    if common.debug:
        click.echo(common.scrub("".join(traceback.format_exception(error))), err=True, nl=False)
    click.echo(f"resolute: {common.scrub(text)}", err=True)


if __name__ == "__main__":
    main()
