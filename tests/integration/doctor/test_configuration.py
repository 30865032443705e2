"""What `resolute doctor` says of settings, flows and the files that secrets stand in."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolute.config import in_force
from resolute.doctor import configuration
from resolute.doctor.account import Network
from resolute.doctor.examination import examine, has_problem
from resolute.doctor.finding import Finding
from resolute.doctor.subject import Subject
from resolute.model.activity import activity
from resolute.model.flow import flow
from resolute.model.refs import env
from resolute.model.trigger import manual
from resolute.ports import Ports
from resolute.worker import Worker


@activity
async def greet(name: str) -> str:
    return name


GREETING = flow("greet").triggered_by(manual()).then(greet(name=env("GREETED"))).build()


def only(findings: list[Finding]) -> Finding:
    [finding] = findings
    return finding


def test_each_setting_is_told_with_its_source(tmp_path: Path) -> None:
    """Who wonders why a value is in force reads where it stands."""
    (tmp_path / "resolute.toml").write_text('jobs = ["ops.toml"]\nmodule = "other.py"\n')
    given = {"store": None, "module": "flows.py"}
    found = in_force(given, environ={"RESOLUTE_STORE": "sqlite:///a.db"}, folder=tmp_path)
    finding = only(configuration.settings(Subject({}, found)))
    assert "store = sqlite:///a.db (RESOLUTE_STORE); module = flows.py (--module); " in finding.text
    assert f"jobs = ops.toml ({tmp_path / 'resolute.toml'})" in finding.text


def test_settings_that_cannot_be_read() -> None:
    """The fault is a finding, and no check fails over it."""
    every = examine(Subject({}, settings_fault="resolute.toml is not TOML."), Network(None))
    assert [each.finding.text for each in every if each.finding.result == "problem"] == ["resolute.toml is not TOML."]
    assert has_problem(every)
    assert not [each for each in every if "The check itself failed" in each.finding.text]


def test_what_the_flows_need() -> None:
    """The same that a worker would tell, with the way to set it."""

    def needs(environ: dict[str, str]) -> Finding:
        worker = Worker(flows=[GREETING], ports=Ports(environ=environ))
        return only(configuration.needs(Subject(environ, worker=worker)))

    finding = needs({})
    assert finding == Finding(
        "problem", 'Node "greet" needs the variable GREETED.', "Set it, or give env(..., default=...)."
    )
    assert needs({"GREETED": "Ada"}).result == "ok"


@pytest.mark.parametrize(("mode", "result"), [(0o644, "warning"), (0o640, "warning"), (0o600, "ok"), (0o400, "ok")])
def test_secret_file_that_others_can_read(tmp_path: Path, mode: int, result: str) -> None:
    """Told with its mode and the command that mends it."""
    path = tmp_path / "pagerduty.key"
    path.write_text("k" * 32)
    path.chmod(mode)
    finding = only(configuration.secret_files(Subject({"PAGERDUTY_SERVICE_KEY_FILE": str(path)})))
    assert finding.result == result
    assert "PAGERDUTY_SERVICE_KEY_FILE" in finding.text
    if result == "warning":
        assert f"mode {mode:04o}" in finding.text
        assert f"chmod 600 {path}" in finding.fix


def test_secret_file_that_is_not_there(tmp_path: Path) -> None:
    """A mount that is missing."""
    finding = only(configuration.secret_files(Subject({"OPS_ROUTING_KEY_FILE": str(tmp_path / "gone")})))
    assert finding.result == "problem"
    assert "cannot be read: No such file or directory" in finding.text


def test_the_worst_comes_first() -> None:
    """Problems before warnings, those before what could not be checked, what is well in the end."""
    every = examine(Subject({"OPS_ROUTING_KEY": "short"}, settings_fault="No."), Network(None))
    results = [each.finding.result for each in every]
    assert results == sorted(results, key=["problem", "warning", "not checked", "ok"].index)
    assert {"problem", "not checked", "ok"} <= set(results)
