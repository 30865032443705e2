"""How a worker comes to a Temporal server that is secured, away, or does not want it."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest

from resolute import Worker, WorkerConfig
from resolute.engines.temporal.address import temporal_address
from resolute.engines.temporal.connection import connect
from resolute.engines.temporal.payloads import data_converter
from resolute.errors import ConfigError
from resolute.ports import Ports
from resolute.secrets import Secrets
from tests.acceptance.command import SOURCE, Desk
from tests.integration.temporal import flows
from tests.temporal_server import TemporalServer, Wire
from tests.tls_proxy import Certificates, TlsProxy

pytestmark = pytest.mark.ci_only

SOON = timedelta(seconds=30)
NAME = "temporal.test"
KEY = "a" * 24
#: "Bearer " and that key as HPACK writes them (RFC 7541, appendix B): B e a r e r, a blank, and the letter a.
BEARER_BITS = "".join(("1011101", "00101", "00011", "101100", "00101", "101100", "010100", *["00011"] * len(KEY)))

FLOWS = """
from resolute import activity, flow, manual

@activity
async def act() -> int:
    return 1

act_once = flow("act-once").triggered_by(manual()).then(act()).build()
"""


@dataclass(frozen=True)
class Ends:
    """Where TLS is spoken before one server, and who has signed for whom."""

    open: TlsProxy
    asking: TlsProxy
    refusing: TlsProxy
    plain: int
    namespace: str
    known: Certificates
    unknown: Certificates

    def environ(self, who: str = "") -> dict[str, str]:
        """What an operator would set; `who` has signed for the client."""
        found = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(self.known.authority), "TEMPORAL_TLS_SERVER_NAME": NAME}
        if who:
            certificate, key = getattr(self, who).sign("client")
            found |= {"TEMPORAL_TLS_CLIENT_CERT_PATH": str(certificate), "TEMPORAL_TLS_CLIENT_KEY_PATH": str(key)}
        return found


@pytest.fixture
async def ends(temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Ends]:
    """A server that lets in everybody, one that asks for a certificate, and one that refuses each call."""
    known, unknown = Certificates(tmp_path / "known"), Certificates(tmp_path / "unknown")
    shown, port = known.sign(NAME), temporal_server.port
    async with (
        TlsProxy(port, shown) as everybody,
        TlsProxy(port, shown, asks=known.authority) as asking,
        TlsProxy(None, shown) as refusing,
    ):
        yield Ends(everybody, asking, refusing, port, temporal_server.namespace(), known, unknown)


async def attempt(port: int, namespace: str, environ: dict[str, str]) -> None:
    """Connect as a worker does, but not for ever."""
    address, secrets = temporal_address(f"temporal://127.0.0.1:{port}/{namespace}", environ), Secrets({})
    await connect(address, data_converter(secrets), secrets, patience=SOON)


def worker_at(port: int, namespace: str, folder: Path, environ: dict[str, str]) -> Worker:
    config = WorkerConfig(engine=f"temporal://127.0.0.1:{port}/{namespace}", grace=timedelta(0))
    ports = Ports(environ={"RESOLUTE_STORE": f"sqlite:///{folder / 'resolute.db'}", **environ})
    return Worker(config, flows=[flows.failing()], ports=ports)


@pytest.mark.parametrize("who", ["", "known"], ids=["tls", "mtls"])
async def test_a_flow_runs_over_tls(ends: Ends, tmp_path: Path, who: str) -> None:
    """With an authority of one's own, and with a certificate of the client where the server asks for one."""
    port = ends.asking.port if who else ends.open.port
    async with worker_at(port, ends.namespace, tmp_path, ends.environ(who)) as worker:
        assert await (await worker.client.start("failing")).result(SOON) == {"good": 1, "bad": 2, "last": 3}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "unknown"}, "nobody whom we trust.*TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
        ({"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "", "TEMPORAL_TLS": "1"}, "nobody whom we trust"),
        ({"TEMPORAL_TLS_SERVER_NAME": "else.test"}, "does not bear the name else.test.*TEMPORAL_TLS_SERVER_NAME"),
        ({"TEMPORAL_TLS_SERVER_NAME": ""}, "does not bear the name 127.0.0.1"),
    ],
    ids=["unknown authority", "the system's", "other name", "no name"],
)
async def test_a_server_that_cannot_be_trusted_is_not_waited_for(ends: Ends, change: dict[str, str], told: str) -> None:
    """What to mend is told."""
    environ = ends.environ() | {
        key: value.replace("unknown", str(ends.unknown.authority)) for key, value in change.items()
    }
    with pytest.raises(ConfigError, match=told):
        await attempt(ends.open.port, ends.namespace, environ)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("who", ["", "unknown"], ids=["nobody", "a stranger"])
async def test_who_shows_no_good_certificate_is_told_so(ends: Ends, version: str, who: str) -> None:
    """By the name of the variables, whichever TLS refuses it."""
    ends.asking.speaks(version)
    with pytest.raises(ConfigError, match="TEMPORAL_TLS_CLIENT_CERT_PATH"):
        await attempt(ends.asking.port, ends.namespace, ends.environ(who))


async def test_a_certificate_with_the_key_of_another_is_refused(ends: Ends) -> None:
    """Before anything is sent."""
    environ = ends.environ("known") | {
        "TEMPORAL_TLS_CLIENT_KEY_PATH": ends.environ("unknown")["TEMPORAL_TLS_CLIENT_KEY_PATH"]
    }
    with pytest.raises(ConfigError, match="client key is not that of"):
        await attempt(ends.asking.port, ends.namespace, environ)


async def test_a_server_without_tls_is_not_waited_for(ends: Ends) -> None:
    """Where TLS is asked for, nothing is ever sent in clear."""
    with pytest.raises(ConfigError, match="does not speak TLS"):
        await attempt(ends.plain, ends.namespace, ends.environ())


async def test_a_key_comes_as_a_bearer_token(ends: Ends) -> None:
    """In the header of each call, and TLS is asked for by the key alone."""
    await attempt(ends.open.port, ends.namespace, ends.environ() | {"TEMPORAL_API_KEY": KEY})
    bits = BEARER_BITS + "1" * (-len(BEARER_BITS) % 8)
    assert int(bits, 2).to_bytes(len(bits) // 8, "big") in ends.open.heard


async def test_a_key_that_goes_out_in_clear_is_warned_of(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    """It takes `TEMPORAL_TLS=false` to send it so, and the key itself is not told."""
    environ = {"TEMPORAL_API_KEY": KEY, "TEMPORAL_TLS": "false"}
    address, secrets = temporal_address(f"temporal://127.0.0.1:{ends.plain}/{ends.namespace}", environ), Secrets({})
    await connect(address, data_converter(secrets), secrets, warns=True)
    assert "in clear, as TEMPORAL_TLS=false says" in caplog.text
    assert KEY not in caplog.text


async def test_a_namespace_that_is_not_there_is_refused(ends: Ends) -> None:
    """With the command that makes it."""
    with pytest.raises(ConfigError, match=r'no namespace "not-there".*temporal operator namespace create'):
        await attempt(ends.plain, "not-there", {})


async def test_a_worker_waits_for_a_server_that_is_not_up(
    temporal_server: TemporalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, and works as soon as the server answers."""
    wire, namespace = Wire(temporal_server.port), temporal_server.namespace()
    worker = worker_at(await wire.open(), namespace, tmp_path, {})
    wire.cut()
    is_told = asyncio.Event()
    caplog.handler.addFilter(lambda record: is_told.set() or True if "trying again" in record.getMessage() else True)
    starting = asyncio.create_task(worker.__aenter__())
    await asyncio.wait_for(is_told.wait(), SOON.total_seconds())
    await wire.mend()
    await starting
    assert await (await worker.client.start("failing")).result(SOON) == {"good": 1, "bad": 2, "last": 3}
    await worker.__aexit__(None, None, None)
    wire.cut()
    assert caplog.text.count("trying again") == 1


async def test_a_worker_that_is_refused_ends_with_exit_code_2(ends: Ends, resolute: Desk) -> None:
    """The server's reason is told, and the key is in no output and no file, even where the server repeats it."""
    ends.refusing.says = f"no entry with {KEY}"
    resolute.write("flows.py", FLOWS)
    environ = ends.environ() | {
        "RESOLUTE_ENGINE": f"temporal://127.0.0.1:{ends.refusing.port}/{ends.namespace}",
        "TEMPORAL_API_KEY": KEY,
    }
    for command in (("worker", "flows.py"), ("runs", "list"), ("--debug", "runs", "list")):
        answer = await asyncio.to_thread(resolute, *command, **environ)
        assert answer.code == 2
        assert "no entry with ••••. Mend TEMPORAL_API_KEY" in answer.err
    assert not resolute.holds(KEY)


@pytest.mark.parametrize(("days", "warned"), [(1, True), (3, False)])
async def test_a_worker_warns_of_a_namespace_that_forgets_too_soon(
    ends: Ends, caplog: pytest.LogCaptureFixture, days: int, warned: bool
) -> None:
    """Three days are enough."""
    address, secrets = temporal_address(f"temporal://127.0.0.1:{ends.plain}/kept-{days}", {}), Secrets({})
    plain = temporal_address(f"temporal://127.0.0.1:{ends.plain}/default", {})
    client: Any = await connect(plain, data_converter(secrets), secrets)
    made = RegisterNamespaceRequest(namespace=address.namespace)
    made.workflow_execution_retention_period.FromTimedelta(timedelta(days=days))
    await client.workflow_service.register_namespace(made)
    with caplog.at_level(logging.WARNING, "resolute.temporal"):
        await connect(address, data_converter(secrets), secrets, warns=True)
    assert ("forgets finished runs" in caplog.text) is warned


def test_a_command_leaves_without_taking_the_interpreter_down(address: str, resolute: Desk) -> None:
    """A thread of Temporal's core that is inside it would abort the command (SIGABRT) after its work."""
    program = "import atexit, os; atexit.register(os._exit, 99)\nfrom resolute.cli.main import main; main()"
    command = [sys.executable, "-W", "error", "-c", program, "runs", "list", "--json"]
    environ = {**os.environ, "PYTHONPATH": SOURCE, "RESOLUTE_ENGINE": address}
    done = subprocess.run(command, cwd=resolute.folder, env=environ, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"[]\n")
