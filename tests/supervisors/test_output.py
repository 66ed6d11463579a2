"""What children print and log: with their name, kept, whoever reads it or dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from holdfast.supervisors.spec import MAX_DESCENDANTS, ChildSpec
from holdfast.supervisors.zygote import MAX_DESCRIPTORS
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import LINE, PROJECT, TIMEOUT, SmallTree, child, nested

WAYS = {
    "print": "STDOUT",
    "stderr": "STDERR",
    "write": "STDERR",
    "program": "STDOUT",
    "c": "STDOUT",
    "logging": "WARNING",
}
ANSWER = 5.0  # seconds; a bound on failure


def talker(name: str) -> ChildSpec:
    return child(name, "talkers:Talker")


def say(tree: SmallTree, how: str, what: Any, to: str = "talker") -> int:
    """Have an agent say something; its pid."""
    pid = tree.ask([how, what], to)
    assert isinstance(pid, int)
    return pid


def send(tree: SmallTree, how: str, what: Any, to: str = "talker") -> threading.Thread:
    """The same of an agent that may not live to answer."""

    def ask() -> None:
        with suppress(AssertionError, OSError):
            tree.ask([how, what], to)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def whole(tree: SmallTree, text: str) -> str:
    """The line of the log, as it stands there, that says ``text``."""
    tree.expect(f"{text}$")
    return next(line for line in tree.log if line.endswith(text))


@pytest.mark.parametrize("how", WAYS)
def test_what_a_child_says_is_a_line_with_its_name(grow: Grow, how: str) -> None:
    tree = grow(talker("talker")).ready()
    pid = say(tree, how, "hello there")
    line = whole(tree, "hello there")
    found = LINE.match(line)
    assert found is not None
    assert found.groups()[1:] == (WAYS[how], "talker", str(pid), "hello there")
    assert tree.kept("talker") == [line]
    assert line not in tree.kept("root")


def test_the_last_words_of_a_killed_child_come_before_the_report_of_its_death(grow: Grow) -> None:
    tree = grow(talker("talker")).ready()
    before = ("z" * 99 + "\n") * 600  # nearly all that a pipe holds, and many a turn's worth
    pid = tree.pids()["talker"]
    tree.process.send_signal(signal.SIGSTOP)  # it is to find the words and the death together
    send(tree, "dying", before + "no line end").join()
    tree.until(lambda: not Path(f"/proc/{pid}").exists())
    tree.process.send_signal(signal.SIGCONT)
    tree.expect("^talker is ready")
    dead = next(n for n, line in enumerate(tree.said) if line.startswith("talker is dead"))
    assert tree.said.index("no line end") < dead
    assert tree.said[:dead].count("z" * 99) == 600
    assert tree.kept("talker")[-1].endswith("] no line end")


def test_every_line_of_a_traceback_has_the_name_and_the_level(grow: Grow) -> None:
    tree = grow(talker("talker")).ready()
    send(tree, "falling", "one\ntwo").join()
    tree.expect("^talker is dead")
    kept = [LINE.match(line) for line in tree.kept("talker")]
    assert all(found is not None and found[2] == "ERROR" for found in kept)
    texts = [found[5] for found in kept if found is not None]
    assert texts[0] == "talker failed"
    assert "Traceback (most recent call last):" in texts
    assert texts[-2:] == ["RuntimeError: one", "two"]


def test_bytes_that_are_no_text_and_endless_lines_do_no_harm(grow: Grow) -> None:
    tree = grow(talker("talker")).ready()
    say(tree, "bytes", b"\xff\x00\xc3")
    say(tree, "bytes", b"\n" + b"y" * 100_000)
    say(tree, "bytes", b"\nafter\n")
    tree.expect("^after$")
    kept = tree.kept("talker")
    assert kept[0].endswith("] \\xff\x00\\xc3")
    assert sum(line.count("y") for line in kept) == 100_000
    assert max(map(len, kept)) < 10_000


def test_a_child_that_closes_a_stream_goes_on(grow: Grow) -> None:
    tree = grow(talker("talker")).ready()
    say(tree, "bytes", b"unfinished")
    before = descriptors(tree)
    say(tree, "closing", "")
    tree.expect("^unfinished$")
    assert descriptors(tree) == before - 1  # else its end would wake the root for ever
    say(tree, "stderr", "still here")
    tree.expect("^still here$")
    tree.kill("talker")
    tree.expect("^talker is ready")
    say(tree, "print", "all of it again")
    tree.expect("^all of it again$")


def descriptors(tree: SmallTree) -> int:
    """How many the root has open."""
    return len(os.listdir(f"/proc/{tree.process.pid}/fd"))


def test_a_program_that_holds_the_pipes_delays_nothing(grow: Grow) -> None:
    tree = grow(talker("talker")).ready()
    say(tree, "helper", "from below")
    tree.expect("^from below$")
    before = descriptors(tree)
    for _ in range(3):
        tree.kill("talker")
        tree.expect("^talker is dead")  # not after the 1,000 s of the program
        tree.expect("^talker is ready")
    assert descriptors(tree) <= before + 2


@pytest.mark.slow  # ten seconds of a processor
def test_a_flood_starves_nobody_and_takes_bounded_room(grow: Grow) -> None:
    # Nobody reads the daemon's standard error meanwhile, either.
    tree = grow(
        talker("talker"),
        nested("below", talker("deep")),
        logging={"log_max_bytes": 1_000_000, "log_backups": 2},
    ).ready()
    floods = [send(tree, "flooding", 20_000_000, name) for name in ("talker", "deep")]
    worst, looks = 0.0, 0
    while any(flood.is_alive() for flood in floods):
        began = time.monotonic()
        assert tree.which()["talker"].state == "running"
        assert tree.which("below")["deep"].state == "running"
        worst, looks = max(worst, time.monotonic() - began), looks + 1
    assert looks > 3
    assert worst < ANSWER
    folder = Path(tree.environment.log_folder)
    for name in ("talker", "deep"):

        def sizes(name: str = name) -> list[int] | None:
            with suppress(FileNotFoundError):  # in the middle of a rotation
                found = [path.stat().st_size for path in folder.glob(f"{name}.log*")]
                return found if len(found) == 3 else None
            return None

        assert 1_000_000 < sum(tree.until(sizes)) <= 3_000_000
    assert not [line for line in tree.kept("below") if "xxx" in line]


def test_nobody_has_to_read_the_daemons_standard_error(grow: Grow) -> None:
    tree = grow(
        talker("talker"),
        nested("below", talker("deep")),
        max_restarts=1_000,
    ).ready()
    for name in ("talker", "deep"):
        send(tree, "flooding", 3_000_000, name).join()
    pid = say(tree, "print", "nobody sees this")
    for _ in range(3):  # the root logs each death
        os.kill(pid, signal.SIGKILL)
        tree.until(partial(running_as_another, tree, pid))
        pid = say(tree, "print", "nor this")
    assert {status.state for status in tree.which().values()} == {"running"}
    assert [line[-8:] for line in tree.kept("talker")][-1] == "nor this"
    assert any("talker is dead" in line for line in tree.kept("root"))
    # Who reads at last is told what is not there, and then sees everything again.
    told = tree.expect(r"^(\d+) lines are not shown here; look in (.*)$")
    assert int(told[1]) > 1_000
    assert told[2] == tree.environment.log_folder
    say(tree, "print", "seen again")
    tree.expect("^seen again$")


def running_as_another(tree: SmallTree, dead: int) -> bool:
    status = tree.which()["talker"]
    return status.state == "running" and status.pid != dead


def test_lines_from_below_a_nested_supervisor_are_kept_and_shown_once(grow: Grow) -> None:
    tree = grow(nested("upper", nested("lower", talker("deep")))).ready()
    say(tree, "print", "from the depth", "deep")
    line = whole(tree, "from the depth")
    assert tree.kept("deep") == [line]
    assert tree.log.count(line) == 1
    assert any("deep is ready" in line for line in tree.kept("lower"))
    for name in ("upper", "lower", "root"):
        assert f" {name}[" in "".join(tree.kept(name))
        assert all(f" {name}[" in line for line in tree.kept(name))


def test_lines_are_kept_whoever_is_killed(grow: Grow) -> None:
    tree = grow(nested("below", talker("deep"))).ready()
    for number in range(3):
        say(tree, "print", f"line {number}", "deep")
        tree.expect(f"^line {number}$")  # its supervisor has it
        tree.kill("below")
        tree.expect("^below is dead")
        tree.expect("^below is ready")
    tree.process.kill()
    tree.respawn().ready()
    say(tree, "print", "line 3", "deep")
    tree.expect("^line 3$")
    texts = [line.rpartition("] ")[2] for line in tree.kept("deep")]
    assert texts == [f"line {number}" for number in range(4)]
    for name in ("below", "deep"):
        assert all(LINE.match(line) for line in tree.kept(name))


def test_a_file_that_cannot_be_written_is_told_and_the_child_goes_on(grow: Grow) -> None:
    tree = grow(talker("talker")).ready()
    path = Path(tree.environment.log_folder, "talker.log")
    path.mkdir()
    say(tree, "print", "one")
    tree.expect("talker.log: cannot be written: Is a directory")
    tree.expect("^one$")
    say(tree, "print", "two")
    tree.expect("^two$")
    path.rmdir()
    say(tree, "print", "three")
    tree.expect("talker.log: can be written again; 2 lines are missing in it")
    texts = [line.rpartition("] ")[2] for line in tree.kept("talker")]
    assert texts == ["2 lines of talker are missing here", "three"]


def test_a_log_directory_that_cannot_be_is_refused_before_anything_is_touched(
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.toml").write_text('[daemon]\nlog_dir = "/dev/null/log"\n')
    refused = subprocess.run(
        [sys.executable, "-m", "holdfast", "start", "bad.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    assert refused.returncode == 3
    assert refused.stderr == (
        "holdfast: log directory /dev/null/log: /dev/null is no directory; "
        "[daemon] log_dir names another one\n"
    )
    assert os.listdir(tmp_path) == ["bad.toml"]


def test_a_fork_request_has_room_for_a_whole_subtree_and_the_pipes() -> None:
    # A nested supervisor is one of the descendants; besides them: lifeline, stdout, stderr.
    assert MAX_DESCENDANTS + 3 <= MAX_DESCRIPTORS
