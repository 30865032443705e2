"""The files around the code keep their promises: lock files, Makefile, contents of the repository and of the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-dev.lock")  # each holds the one before
LARGEST_KB = 200  # longer text is data or somebody else's program; lock files may be longer
GENERATED = {".git", ".venv", "build", "dist", "__pycache__"}
NAMES_OF_ONE_MACHINE = ("../" + "shared", "/work" + "/")  # in halves, so that this file does not name them


def files_of_the_project() -> list[Path]:
    """Every file that git tracks or would add; in an unpacked source archive, every file that is not generated."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
        return [path for path in paths if path.is_file()]
    paths = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in GENERATED and not name.endswith("_cache")]
        paths += [Path(folder, name) for name in names]
    return paths


def pins(lock: str) -> set[str]:
    """Every requirement of a lock file together with its hashes."""
    return set(re.split(r"\n(?=\S)", (ROOT / lock).read_text(encoding="utf-8").strip()))


def verbs() -> list[str]:
    """The verbs that `make help` lists."""
    return re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_file_pins_by_hash_and_names_no_host(lock: str) -> None:
    """The same lock file installs from any mirror, and nothing else than what was locked."""
    assert "://" not in (ROOT / lock).read_text(encoding="utf-8")
    assert not [pin for pin in pins(lock) if not re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:", pin, re.DOTALL)]


def test_larger_lock_file_holds_the_smaller_one() -> None:
    """Upgrading .venv from one verb to the next changes no version."""
    assert pins(LOCKS[0]) < pins(LOCKS[1]) < pins(LOCKS[2])


@pytest.mark.parametrize(
    ("lock", "groups", "extras"),
    [
        ("requirements.lock", {"build"}, {"server"}),
        ("requirements-test.lock", {"build", "test"}, {"server"}),
        ("requirements-dev.lock", {"build", "test", "dev"}, {"server", "temporal", "postgres", "otel"}),
    ],
)
def test_lock_file_covers_what_the_project_declares(lock: str, groups: set[str], extras: set[str]) -> None:
    """A dependency that was added without `make lock` is noticed before somebody's set-up fails."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *declared["project"]["dependencies"],
        *(each for name in extras for each in declared["project"]["optional-dependencies"][name]),
        *(each for name in groups for each in declared["dependency-groups"][name] if isinstance(each, str)),
    ]
    locked = {pin.partition("==")[0] for pin in pins(lock)}
    assert {re.split(r"[\[<>=!~; ]", each)[0].lower() for each in wanted} <= locked


def test_every_verb_is_explained() -> None:
    """Whoever reads CONTRIBUTING.md knows every verb of the Makefile."""
    explained = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert verbs()
    assert not [verb for verb in verbs() if f"make {verb}" not in explained]


@pytest.mark.parametrize("verb", ["demo", "test", "check", "format", "build", "clean", "help"])
def test_verb_is_a_makefile_target(verb: str) -> None:
    """The verbs that other projects and people rely on stay."""
    assert verb in verbs()


def test_repository_holds_no_blobs() -> None:
    """Every file is text that a reviewer can read; other people's programs come from lock files."""
    blobs = [
        f"{path.relative_to(ROOT)} ({path.stat().st_size // 1024} kB)"
        for path in files_of_the_project()
        if b"\0" in (content := path.read_bytes()) or (len(content) > LARGEST_KB * 1024 and path.suffix != ".lock")
    ]
    assert not blobs


def test_no_file_names_a_place_on_one_machine() -> None:
    """A clone works wherever it lies; only .ci/run looks beside itself, and does without what it does not find."""
    strays = [
        f"{path.relative_to(ROOT)} names {place}"
        for path in files_of_the_project()
        for place in NAMES_OF_ONE_MACHINE
        if place in path.read_text(encoding="utf-8", errors="replace") and path != ROOT / ".ci" / "run"
    ]
    assert not strays


@pytest.mark.ci_only
def test_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """What users install is src/resolute, whole, with its types and its command."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        metadata, packed = (
            {name for name in wheel.namelist() if (".dist-info/" in name) is wanted} for wanted in (True, False)
        )
        commands = next(wheel.read(name).decode() for name in metadata if name.endswith("/entry_points.txt"))
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in files_of_the_project() if path.is_relative_to(source)}
    assert packed == files >= {"resolute/__init__.py", "resolute/py.typed"}
    assert "resolute = resolute.cli.main:main" in commands
