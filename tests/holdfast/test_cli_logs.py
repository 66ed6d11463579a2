"""``holdfast logs`` against a real daemon, and against what one has left."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

import pytest

from holdfast.cli.logreading import ActorLog
from holdfast.supervisors.lines import line_head, when
from holdfast.supervisors.logfiles import LogFiles
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT, Run, spawn
from tests.supervisors.trees import LINE

AGENT = """
import os
import holdfast

class Talker(holdfast.Agent):
    def on_receive(self, message):
        print(message)
        return os.getpid()
"""
TABLE = """
[agents.{name}]
class = "talkers:Talker"
"""


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with two agents that print what they are asked."""
    (tmp_path / "talkers.py").write_text(AGENT)
    config = CONFIG.replace(
        'name = "test"', 'name = "test"\nlog_max_bytes = 65536\nlog_backups = 2'
    )
    with Daemon(tmp_path, config + TABLE.format(name="anna") + TABLE.format(name="bert")) as daemon:
        yield daemon


def say(daemon: Daemon, to: str, text: str) -> int:
    pid = daemon.hub.ask(to, text, timeout=TIMEOUT)
    # Its supervisor has read it once it has answered who asked after the agent had.
    path = daemon.folder / "var/lib/log" / f"{to}.log"
    daemon.until(lambda: f"] {text}\n" in path.read_text() if path.exists() else None)
    assert isinstance(pid, int)
    return pid


class Following:
    """``holdfast logs`` that goes on, read line by line; killed in the end."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = spawn(folder, "logs", *arguments)
        self._rest = b""

    def line(self) -> str:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while b"\n" not in self._rest:
            assert select.select([fd], [], [], TIMEOUT)[0], "nothing came"
            data = os.read(fd, 65536)
            assert data, "it has ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def text(self) -> str:
        return self.line().partition("] ")[2]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()


def texts(output: str) -> list[str]:
    return [line.partition("] ")[2] for line in output.splitlines()]


def objects(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_logs_shows_everybodys_lines_by_time(talking: Daemon, run: Run) -> None:
    for number in range(4):
        say(talking, "bert" if number % 2 else "anna", f"number {number}")
    done = run("logs")
    assert done.returncode == 0
    assert all(LINE.match(line) for line in done.stdout.splitlines())
    said = texts(done.stdout)
    assert [text for text in said if text.startswith("number")] == [
        f"number {number}" for number in range(4)
    ]
    assert any(text.startswith("writer is ready") for text in said)  # of its supervisor
    found = [line["time"] for line in objects(run("logs", "--json").stdout)]
    assert found == sorted(found)


def test_logs_of_one_actor_as_json(talking: Daemon, run: Run) -> None:
    pid = say(talking, "anna", "hello [you] there")
    say(talking, "bert", "not this")
    (line,) = objects(run("logs", "anna", "--json").stdout)
    assert line["time"].endswith("Z")
    assert {key: line[key] for key in ("level", "actor", "pid", "text")} == {
        "level": "STDOUT",
        "actor": "anna",
        "pid": pid,
        "text": "hello [you] there",
    }
    both = run("logs", "anna", "bert").stdout
    assert texts(both) == ["hello [you] there", "not this"]


def test_an_unknown_actor_is_refused_with_those_there_are(talking: Daemon, run: Run) -> None:
    done = run("logs", "nobody")
    assert done.returncode == 1
    assert "no log of 'nobody'" in done.stderr
    assert "agents, anna, bert, checkpoints" in done.stderr
    quiet = run("logs", "anna")  # has not said anything yet
    assert (quiet.returncode, quiet.stdout) == (0, "")


def test_the_number_of_lines_and_their_times_can_be_bounded(talking: Daemon, run: Run) -> None:
    for number in range(5):
        say(talking, "anna", f"{number}")
    assert texts(run("logs", "anna", "-n", "2").stdout) == ["3", "4"]
    assert texts(run("logs", "anna", "--lines", "0").stdout) == []
    times = [line["time"] for line in objects(run("logs", "anna", "--json").stdout)]
    later = [str(number) for number, time in enumerate(times) if time >= times[2]]
    assert texts(run("logs", "anna", "--since", times[2]).stdout) == later
    earlier = [str(number) for number, time in enumerate(times) if time < times[4]]
    assert texts(run("logs", "anna", "--until", times[4]).stdout) == earlier
    assert texts(run("logs", "anna", "--until", times[4], "-n", "1").stdout) == earlier[-1:]
    assert texts(run("logs", "anna", "--since", "1h", "-n", "1").stdout) == ["4"]
    assert run("logs", "anna", "--until", "1h").stdout == ""


def test_logs_of_a_daemon_that_has_ended(talking: Daemon, run: Run, tmp_path: Path) -> None:
    say(talking, "anna", "the last words")
    talking.process.kill()
    talking.process.wait(TIMEOUT)
    assert texts(run("logs", "anna").stdout) == ["the last words"]  # var/lib/log beside var/run
    elsewhere = tmp_path / "moved"
    (tmp_path / "var/lib/log").rename(elsewhere)
    assert texts(run("logs", "anna", "--log-dir", elsewhere).stdout) == ["the last words"]
    lost = run("logs", "anna")
    assert lost.returncode == 4
    assert "--log-dir" in lost.stderr
    for left in (tmp_path / "var/run").glob("*.sock"):
        left.unlink()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_logs_follows_across_rotation_and_restart_until_it_is_interrupted(
    talking: Daemon, number: signal.Signals, code: int
) -> None:
    say(talking, "anna", "old")
    with Following(talking.folder, "anna", "-f", "-n", "1") as following:
        assert following.text() == "old"
        wanted = [f"{count} {'x' * 2_000}" for count in range(60)]  # two files full
        for text in wanted:
            talking.hub.ask("anna", text, timeout=TIMEOUT)
        assert [following.text() for _ in wanted] == wanted
        assert (talking.folder / "var/lib/log/anna.log.1").exists()
        talking.process.kill()
        talking.restart()
        say(talking, "anna", "from another life")
        assert following.text() == "from another life"
        following.process.send_signal(number)
        _, complaint = following.process.communicate(timeout=TIMEOUT)
        assert following.process.returncode == code
        assert "Traceback" not in complaint


def test_follow_shows_who_speaks_up_later(talking: Daemon) -> None:
    with Following(talking.folder, "--follow", "-n", "1") as following:
        following.line()  # it reads by now
        say(talking, "bert", "at last")
        assert following.text() == "at last"


def test_a_reader_that_leaves_ends_logs_quietly(talking: Daemon) -> None:
    with Following(talking.folder, "-n", "1", "-f") as following:
        assert following.process.stdout is not None
        assert following.process.stderr is not None
        following.line()
        following.process.stdout.close()
        say(talking, "anna", "nobody listens")
        assert following.process.wait(TIMEOUT) == 0
        assert following.process.stderr.read() == ""


def test_a_terminal_is_not_steered_and_gets_colours_unless_no_color(talking: Daemon) -> None:
    say(talking, "anna", "red \x1b[31m alert")
    talking.kill("anna")
    talking.until(lambda: "is dead" in (talking.folder / "var/lib/log/agents.log").read_text())

    def shown(*arguments: str, **changes: str) -> bytes:
        reading, writing = os.openpty()
        try:
            with spawn(talking.folder, *arguments, stdout=writing, changes=changes) as process:
                process.wait(TIMEOUT)
            assert select.select([reading], [], [], TIMEOUT)[0]
            return os.read(reading, 65536)
        finally:
            os.close(reading)
            os.close(writing)

    for no_color in ({}, {"NO_COLOR": "1"}):
        assert b"red \\x1b[31m alert" in shown("logs", "anna", TERM="xterm", **no_color)
    assert b"\x1b[33m" in shown("logs", "agents", TERM="xterm")  # a death is a warning
    assert b"\x1b[" not in shown("logs", "agents", TERM="xterm", NO_COLOR="1")


# -- the files alone ------------------------------------------------------------------------


Read = Callable[[], ActorLog]


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """Readers of the actor ``a``."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(ActorLog(tmp_path, "a")))


class Written:
    """An actor's files, written as a supervisor does."""

    def __init__(self, folder: Path, *, backups: int = 1_000) -> None:
        self.folder = folder
        self.count = 0
        self._files = LogFiles(
            folder, max_bytes=65_536, backups=backups, note=lambda *_: b"", tell=lambda _: None
        )

    def write(self, count: int) -> None:
        head = line_head(when(self.count * 1_000_000), "STDOUT", "a", 1)
        numbers = range(self.count, self.count + count)
        self._files.write("a", "".join(f"{head}{number}\n" for number in numbers).encode())
        self.count += count

    def numbers(self) -> list[str]:
        return list(map(str, range(self.count)))


def test_the_newest_lines_are_found_whichever_files_they_are_in(tmp_path: Path, read: Read) -> None:
    written = Written(tmp_path)
    written.write(10_000)
    assert len(list(tmp_path.iterdir())) > 5
    for count in (0, 1, 2, 500, 999, 1_000, 1_001, 5_000, 9_999, 10_000, 20_000):
        found = [line.text for line in read().newest(count)]
        assert found == (written.numbers()[-count:] if count else [])


def test_a_follower_misses_nothing_and_repeats_nothing_however_often_it_looks(
    tmp_path: Path, read: Read
) -> None:
    written = Written(tmp_path)
    written.write(100)
    reader = read()
    found = [line.text for line in reader.newest(50)]
    for size in (1, 0, 3, 5_000, 2, 20_000, 1):
        written.write(size)
        found += [line.text for line in reader.news()]
    assert found == written.numbers()[50:]
    late = read()
    assert [line.text for line in late.all(None)] == written.numbers()
    assert late.news() == []
    written.write(1)
    assert [line.text for line in late.news()] == written.numbers()[-1:]


def test_a_follower_goes_on_when_files_vanish_or_are_emptied(tmp_path: Path, read: Read) -> None:
    written = Written(tmp_path, backups=1)
    reader = read()
    assert reader.newest(10) == []
    written.write(1)
    assert [line.text for line in reader.news()] == ["0"]
    written.write(30_000)  # more than two files hold
    found = [line.text for line in reader.news()]
    gap = next(n for n, text in enumerate(found) if int(text) != n + 1)  # after the open file
    assert 0 < gap < len(found)
    assert found[gap:] == written.numbers()[gap - len(found) :]
    (tmp_path / "a.log").unlink()
    assert reader.news() == []
    written.write(1)
    assert [line.text for line in reader.news()] == written.numbers()[-1:]
    os.truncate(tmp_path / "a.log", 0)
    assert reader.news() == []
    written.write(1)
    assert [line.text for line in reader.news()] == written.numbers()[-1:]


def test_lines_that_others_wrote_stay_where_they_are(tmp_path: Path, read: Read) -> None:
    head = line_head(when(1_000_000), "INFO", "a", 1)
    (tmp_path / "a.log").write_bytes(f"{head}one\n".encode() + b"what? \xff\n\nhalf")
    lines = read().newest(10)
    assert [(line.time_us, line.level, line.pid, line.text) for line in lines] == [
        (1_000_000, "INFO", 1, "one"),
        (1_000_000, "", None, "what? \\xff"),
        (1_000_000, "", None, ""),
    ]


def test_a_file_that_is_moved_away_while_it_is_looked_for_is_not_read_twice(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a rotation there is no new file yet, and the old one has its next name."""
    written = Written(tmp_path)
    written.write(10)
    reader = read()
    assert len(reader.newest(10)) == 10
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    with monkeypatch.context() as patched:
        patched.setattr(reader, "_is_replaced", lambda: True)  # as it was a moment ago
        assert reader.news() == []
    assert reader.news() == []


def test_concurrent_rotation_is_followed_without_a_gap(tmp_path: Path, read: Read) -> None:
    total = 30_000
    program = (
        "import sys; from pathlib import Path; from tests.holdfast.test_cli_logs import Written\n"
        f"w = Written(Path(sys.argv[1]))\nfor _ in range({total} // 500): w.write(500)"
    )
    reader = read()
    found = [line.text for line in reader.newest(10)]
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], cwd=ROOT) as process:
        while process.poll() is None:
            found += [line.text for line in reader.news()]
    assert process.returncode == 0
    found += [line.text for line in reader.news()]
    assert found == list(map(str, range(total)))
