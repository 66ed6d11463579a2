"""The command line where no daemon runs: usage, exit codes, bad files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commandline import environment
from tests.daemon import TIMEOUT
from tests.holdfast.conftest import Run

CLIENTS = (
    ("status",),
    ("stop",),
    ("logs",),
    ("events", "tail"),
    ("events", "query"),
    ("events", "export"),
    ("events", "import", "-"),
    ("deadletters", "list"),
    ("deadletters", "retry", "1"),
    ("files", "list"),
    ("files", "show", "s"),
    ("files", "export", "s"),
    ("files", "results", "get", "r"),
    ("tracker", "list"),
    ("tracker", "show", "r"),
    ("tracker", "limits"),
)


@pytest.mark.parametrize("arguments", CLIENTS, ids=" ".join)
def test_without_a_daemon_every_client_says_where_it_looked(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run(*arguments, "--run-dir", tmp_path / "nowhere", "--json")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_run_dir_of_the_environment_is_used(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "status"],
        env=environment(HOLDFAST_RUN_DIR=str(tmp_path / "elsewhere")),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 4
    assert "elsewhere" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("strat",),
        ("start",),
        ("status", "--jsno"),
        ("events", "query", "--since", "yesterday"),
        ("events", "query", "--limit", "0"),
        ("events", "query", "--after", "-1"),
        ("events", "tail", "-n", "many"),
        ("events", "import"),
        ("stop", "--timeout", "-1"),
        ("deadletters", "show", "0"),
        ("deadletters", "list", "--limit", "0"),
    ],
    ids=" ".join,
)
def test_bad_usage_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "test.toml"),
        ("[daemon", "test.toml"),
        ('[daemon]\nnmae = "x"\n', "nmae"),
        ("[actors.log]\ncapacity = -1\n", "capacity"),
        ('[actors.log]\ncapacity = "many"\n', "capacity"),
        ('[agents.a]\nclass = "no_such_module:Agent"\n', "no_such_module"),
    ],
    ids=["missing", "torn", "unknown key", "negative limit", "wrong type", "no such agent"],
)
def test_a_bad_config_exits_with_3_and_starts_nothing(
    run: Run, tmp_path: Path, content: str | None, part: str
) -> None:
    if content is not None:
        (tmp_path / "test.toml").write_text(content)
    done = run("start", "test.toml")
    assert done.returncode == 3
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_exits_with_3(run: Run, name: str) -> None:
    done = run("events", "import", name)
    assert done.returncode == 3
    assert name in done.stderr


@pytest.mark.parametrize("text", ["10m", "1.5h", "7d", "1700000000", "1700000000.25"])
def test_points_in_time_are_ages_or_seconds(run: Run, text: str) -> None:
    assert run("events", "query", "--since", text).returncode == 4  # read, and then no daemon


def test_the_version_is_the_installed_one(run: Run) -> None:
    import apsw

    import holdfast

    said = f"holdfast {holdfast.__version__}, SQLite {apsw.sqlite_lib_version()}\n"
    assert run("--version").stdout == said


def test_start_loads_nothing_but_click_before_the_tree_does(tmp_path: Path) -> None:
    program = "import sys; from holdfast.cli.app import commands; from holdfast.cli import start"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print(*sys.modules)"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert not set(done.stdout.split()) & {"apsw", "loguru", "msgspec", "pykka", "rich"}
