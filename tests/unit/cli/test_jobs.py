"""`resolute jobs`: the jobs in a folder, with no key in sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command

JOB = """
[job]
name = "{name}"
main = "create_pagerduty_incident"
env = ["PAGERDUTY_API_KEY"]
[job.input]
title = "Disk full"
service_key = "{key}"
"""
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two jobs, and a file beside them that is none."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "page.toml").write_text(JOB.format(name="Page", key=KEY))
    (tmp_path / "jobs" / "other.toml").write_text(JOB.format(name="Other", key="${SERVICE_KEY}"))
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    return tmp_path


def test_jobs_are_listed_with_their_files(resolute: Command, folder: Path) -> None:
    """As a table or as one JSON array."""
    assert [line.split()[0] for line in resolute("jobs", "list").out.splitlines()] == ["JOB", "Page", "Other"]
    assert [job["file"] for job in resolute("jobs", "list", "--json").json] == [
        str(folder / "page.toml"),
        str(folder / "jobs" / "other.toml"),
    ]


def test_broken_file_is_told_and_hides_no_other(resolute: Command, folder: Path) -> None:
    """Exit code 2, the others are listed all the same."""
    (folder / "jobs" / "broken.toml").write_text("[job\n")
    said = resolute("jobs", "list")
    assert said.code == 2
    assert "broken.toml" in said.err
    assert "Other" in said.out


def test_job_is_shown_without_its_key(resolute: Command, folder: Path) -> None:
    """A literal key is masked; the name of a variable may be seen."""
    said = resolute("jobs", "show", "Page")
    assert KEY not in said.out
    assert "•••• cdef" in said.out
    shown = resolute("jobs", "show", "Other", "--json").json
    assert shown["input"] == {"title": "Disk full", "service_key": "${SERVICE_KEY}"}
    assert shown["takes"] == {"title": "required", "service_key": "required", "urgency": "high", "body": ""}


def test_empty_folder_says_what_a_job_is(resolute: Command) -> None:
    """Exit code 0: an empty list is an answer."""
    said = resolute("jobs", "list")
    assert said.code == 0
    assert "[job]" in said.out
    assert resolute("jobs", "list", "--json").json == []
