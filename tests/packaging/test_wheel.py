"""What users install: built from the source distribution, and run without the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.commandline import environment
from tests.daemon import TIMEOUT

ROOT = Path(__file__).resolve().parents[2]
BUILDING = 600.0  # seconds; packages come over the network
SOURCES = ("actors", "holdfast", "storage", "supervisors")


def sh(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BUILDING,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment_in(folder: Path) -> Path:
    """A new one; its bin/."""
    sh(folder.parent, sys.executable, "-m", "venv", folder)
    return folder / "bin"


def source_in(folder: Path) -> Path:
    """A copy: a build writes beside what it builds."""
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow  # two environments are made, and packages fetched
def test_a_wheel_of_the_sdist_installs_and_runs_a_daemon(tmp_path: Path) -> None:
    tools = environment_in(tmp_path / "tools")
    sh(tmp_path, tools / "python", "-m", "pip", "install", "--quiet", "build")
    source = source_in(tmp_path / "source")
    # Without an option: the sdist first, and the wheel from that.
    sh(source, tools / "python", "-m", "build", "--outdir", tmp_path / "dist")
    (sdist,), (wheel,) = (tmp_path / "dist").glob("*.tar.gz"), (tmp_path / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("/actors/writer.py") for name in archive.getnames())
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"holdfast/py.typed", "holdfast/cli/templates/agent.txt"} <= names
    assert "holdfast/actors/writer.py" in names
    assert not any(name.startswith(("actors/", "tests/")) for name in names)

    bin_ = environment_in(tmp_path / "installed")
    sh(tmp_path, bin_ / "python", "-m", "pip", "install", "--quiet", wheel)
    home = tmp_path / "home"
    home.mkdir()
    holdfast = bin_ / "holdfast"
    assert sh(home, holdfast, "--version").startswith("holdfast ")
    sh(home, holdfast, "init")
    with subprocess.Popen(
        [holdfast, "start", "holdfast.toml"],
        cwd=home,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        try:
            assert daemon.stdout is not None
            assert daemon.stdout.readline().startswith("ready home ")
            answer = json.loads(sh(home, holdfast, "send", "hello", "1", "--ask"))
            assert answer == {"count": 1, "message": 1}
            sh(home, holdfast, "stop")
            assert daemon.wait(TIMEOUT) == 0
        finally:
            daemon.kill()


def test_the_dockerfile_names_what_the_build_needs() -> None:
    kept = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert kept == {*SOURCES, "LICENSE", "README.md", "pyproject.toml", "setup.cfg"}
    assert all(os.path.exists(ROOT / name) for name in kept)
    steps = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    last_user = [step for step in steps if step.startswith("USER ")][-1]
    assert last_user not in ("USER root", "USER 0")
    # Not through a shell, which would be process 1 and pass no signal on.
    assert 'ENTRYPOINT ["holdfast"]' in steps
