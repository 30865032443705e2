"""`resolute worker`: run the flows of a module until stopped."""

from __future__ import annotations

import click

from resolute.cli.options import Common


@click.command()
@click.argument("module", required=False)
@click.pass_obj
def worker(common: Common, module: str | None) -> None:
    """Run the flows of MODULE: a Python file (flows.py) or a dotted module (ops.flows).

    MODULE holds a Worker, or else flows and providers, at its top level. One worker owns the store; a second one ends
    at once with exit code 3. SIGTERM and Ctrl-C let running attempts come to their end first.
    """
    from resolute.cli.logs import set_up_logging
    from resolute.cli.project import find_flows

    made = find_flows(common, module).as_worker()
    if common.store:
        made.store_address = common.store
    common.scrub = made.ports.secrets.scrub
    set_up_logging(common)
    made.run()
