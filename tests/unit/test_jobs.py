"""Jobs: found in files, filled in from the environment, made into a flow of one node."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from resolute.config import Settings
from resolute.errors import ConfigError
from resolute.jobs import Job, find_job, job_activity, job_files, prepare_call, read_job
from resolute.providers.pagerduty import create_pagerduty_incident

KEY = "0123456789abcdef0123456789abcdef"
TEXT = '[job]\nname = "{}"\nmain = "create_pagerduty_incident"\n'


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def incident(**given: object) -> Job:
    return Job("Page", "create_pagerduty_incident", {"title": "Disk full", "service_key": KEY, **given})


def test_jobs_stand_here_in_jobs_or_where_the_settings_say(tmp_path: Path) -> None:
    """Other TOML files are left alone; no file counts twice."""
    here = write(tmp_path, "page.toml", TEXT.format("Page"))
    below = write(tmp_path, "jobs/other.toml", TEXT.format("Other"))
    listed = write(tmp_path, "ops/third.toml", TEXT.format("Third"))
    write(tmp_path, "pyproject.toml", "[project]\n")
    write(tmp_path, "broken.toml", "[\n")
    assert job_files(Settings(tmp_path, jobs=(listed, here))) == [listed, here, below]


def test_job_is_found_by_name_or_file(tmp_path: Path) -> None:
    """A broken file keeps no other job from being run."""
    write(tmp_path, "page.toml", TEXT.format("Page"))
    write(tmp_path, "jobs/broken.toml", "[job]\nname = 7\n")
    assert find_job("Page", Settings(tmp_path)).name == "Page"
    assert find_job("page.toml", Settings(tmp_path)).name == "Page"


def test_unknown_job_names_the_known_and_the_broken(tmp_path: Path) -> None:
    """The one that is looked for may stand in the file that cannot be read."""
    write(tmp_path, "page.toml", TEXT.format("Page"))
    write(tmp_path, "jobs/broken.toml", "[job]\nname = 7\n")
    with pytest.raises(ConfigError, match=r'Did you mean "Page"\?') as caught:
        find_job("Pages", Settings(tmp_path))
    assert "broken.toml: [job] name is 7" in str(caught.value)


def test_name_that_two_files_give_is_refused(tmp_path: Path) -> None:
    """Nobody is paged by the wrong one of two."""
    write(tmp_path, "a.toml", TEXT.format("Page"))
    write(tmp_path, "b.toml", TEXT.format("Page"))
    with pytest.raises(ConfigError, match="Rename one"):
        find_job("Page", Settings(tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", r"no \[job\] table"),
        ("job = 1", r"no \[job\] table"),
        ('[job]\nmain = "x"', "name is None"),
        ('[job]\nname = " "\nmain = "x"', "name is ' '"),
        ('[job]\nname = "x"\nmain = "x"\nenv = "A"', "env is 'A'"),
        ('[job]\nname = "x"\nmain = "x"\ninput = 1', "is no table"),
        ('[job]\nname = "x"\nmain = "x"\ninputs = 1', "holds inputs"),
        ("[job", "cannot be read as TOML"),
    ],
)
def test_fault_in_a_job_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    """With the file's path and what was expected."""
    path = write(tmp_path, "job.toml", text)
    with pytest.raises(ConfigError, match=told) as caught:
        read_job(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("reference", ["$PAGING_KEY", "${PAGING_KEY}", " $PAGING_KEY "])
def test_whole_value_may_name_a_variable(reference: str) -> None:
    """So that a key need not stand in the file, at any depth."""
    job = Job("Page", "main", {"service_key": reference, "more": [{"key": reference}]})
    filled = job.with_input({}, {"PAGING_KEY": KEY})
    assert filled.input == {"service_key": KEY, "more": [{"key": KEY}]}


@pytest.mark.parametrize("text", ["costs $100", "$100", "$", "$$", "${}", "the key is $PAGING_KEY", "$PAGING_KEY!"])
def test_any_other_dollar_is_a_dollar(text: str) -> None:
    """Only a whole value that is a variable's name is replaced."""
    assert Job("Page", "main", {"title": text}).with_input({}, {"PAGING_KEY": KEY}).input == {"title": text}


def test_given_inputs_are_taken_as_they_are() -> None:
    """The shell has had its turn; and a variable is not needed for an input that is given."""
    job = Job("Page", "main", {"title": "$TITLE", "body": "b"})
    assert job.with_input({"title": "$HOME"}, {}).input == {"body": "b", "title": "$HOME"}


def test_everything_that_is_missing_is_told_at_once() -> None:
    """Variables of `env` and of inputs."""
    job = Job("Page", "main", {"service_key": "$PAGING_KEY"}, env=("PAGERDUTY_API_KEY", "OTHER"))
    with pytest.raises(ConfigError, match="needs PAGERDUTY_API_KEY, PAGING_KEY, not set") as caught:
        job.with_input({}, {"OTHER": "x"})
    assert "PAGERDUTY_API_KEY_FILE" in str(caught.value)


def test_dates_of_toml_become_text(tmp_path: Path) -> None:
    """A job's input is JSON, wherever it is run."""
    path = write(tmp_path, "job.toml", TEXT.format("Page") + "[job.input]\nbody = 2026-03-01T10:00:00Z\n")
    assert read_job(path).with_input({}, {}).input == {"body": "2026-03-01T10:00:00Z"}


def test_job_becomes_a_flow_of_one_node() -> None:
    """Its secret input is handed over apart, and its time is the command's."""
    call = prepare_call(incident(), wait=timedelta(seconds=30))
    [node] = call.flow.nodes()
    assert call.flow.name == "job:Page"
    assert node.activity is create_pagerduty_incident
    assert node.retry is not None
    assert node.retry.deadline == timedelta(seconds=30)
    assert (call.input, call.secrets) == ({"title": "Disk full"}, {"service_key": KEY})
    assert KEY not in repr(call)
    assert KEY not in repr(incident())


def test_secret_in_another_input_is_covered() -> None:
    """Whoever pastes the key into the body does not put it into the journal."""
    call = prepare_call(incident(body=f"key {KEY}", title=KEY))
    assert call.input == {"body": "key ••••", "title": "••••"}


@pytest.mark.parametrize("key", ["", "  ", None, 7])
def test_key_that_is_no_text_is_none(key: object) -> None:
    """The row of the refused job says so; it is not taken for another."""
    assert prepare_call(incident(service_key=key)).secrets == {}


def test_input_that_is_none_of_its_arguments_is_refused() -> None:
    """With those it takes."""
    with pytest.raises(ConfigError, match=r"has no input servicekey\. It takes: title, service_key, urgency, body"):
        prepare_call(incident(servicekey=KEY))


MODULE = """
from resolute import activity
@activity
def greet(name: str, loud: bool = False) -> str:
    return name
def plain(name: str) -> str:
    return name
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of the user's own."""
    write(tmp_path, "greetings.py", MODULE)
    write(tmp_path, "wrong.py", "1 / 0\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "greetings", raising=False)
    return tmp_path


def test_main_may_name_a_function_of_ones_own(module: Path) -> None:
    """As "module:function", found beside the job."""
    call = prepare_call(Job("Greet", "greetings:greet", {"name": "Ada"}), folder=module)
    assert call.activity.name == "greet"
    with pytest.raises(ConfigError, match="needs the input name"):
        prepare_call(Job("Greet", "greetings:greet", {"loud": True}), folder=module)


@pytest.mark.parametrize(
    ("main", "told"),
    [
        ("create_incident", "Use one of create_pagerduty_incident"),
        ("greetings:", "is not known"),
        ("greetings:plain", "is no activity"),
        ("greetings:other", "is no activity"),
        ("nowhere:greet", "cannot be imported: ModuleNotFoundError"),
        ("wrong:greet", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_main_that_is_no_activity_is_told(module: Path, main: str, told: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=told):
        job_activity(main, module)
