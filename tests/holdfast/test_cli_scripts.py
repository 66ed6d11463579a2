"""What ``holdfast init`` makes, started; and the commands for scripts and for trying things."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.sparklines import sparkline
from holdfast.supervisors.config import load_settings, parse_settings
from tests.commandline import command_line
from tests.daemon import TIMEOUT, ForkedDaemon
from tests.holdfast.conftest import next_line, spawn

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedDaemon]:
    """Of the config that init and new-agent write."""
    folder = tmp_path_factory.mktemp("made")
    assert command_line(folder, "init").returncode == 0
    done = command_line(folder, "new-agent", "my-planner")
    assert done.returncode == 0, done.stderr
    config = (folder / "holdfast.toml").read_text(encoding="utf-8")
    made = ForkedDaemon(folder, config, profile={})
    made.config_file.write_text(config, encoding="utf-8")  # as it is: the kit has changed it
    with made as daemon:
        yield daemon


@pytest.fixture(scope="module")
def run(daemon: ForkedDaemon) -> Run:
    return partial(command_line, daemon.folder)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- init and new-agent -----------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["hello", "my-planner"])
def test_the_example_agent_goes_on_where_it_was_killed(
    daemon: ForkedDaemon, run: Run, agent: str
) -> None:
    first = json.loads(ok(run("send", agent, '{"text": "a"}', "--ask")))
    assert first == {"count": 1, "message": {"text": "a"}}
    daemon.kill(agent)
    second = json.loads(ok(run("send", agent, "-", "--ask", stdin='["b"]')))
    assert second == {"count": 2, "message": ["b"]}
    assert ok(run("send", agent, "3")) == f"{agent} handled it\n"
    found = objects(ok(run("events", "query", "--type", f"{agent}:received", "--json")))
    assert [event["data"]["count"] for event in found] == [1, 2, 3]


def test_every_default_that_the_config_shows_is_one(daemon: ForkedDaemon) -> None:
    text = (daemon.folder / "holdfast.toml").read_text(encoding="utf-8")
    shown, count = re.subn("^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    assert count > 15
    folder = os.getcwd()
    os.chdir(daemon.folder)
    try:
        assert parse_settings(shown, file="x") == parse_settings(text, file="x")
        assert set(load_settings(Path("holdfast.toml")).agents) == {"hello", "my-planner"}
    finally:
        os.chdir(folder)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("hello", 1, "there is a child 'hello' already"),
        ("log", 1, "there is a child 'log' already"),
        ("state", 1, "there is a child 'state' already"),
        ("Planner", 2, "expected a name of 1 to 48 characters"),
        ("../x", 2, "expected a name of 1 to 48 characters"),
        ("my_planner", 1, "there is a module my_planner_agent already"),
    ],
)
def test_new_agent_refuses_names_and_leaves_all_as_it_was(
    daemon: ForkedDaemon, run: Run, name: str, code: int, said: str
) -> None:
    def there() -> dict[str, bytes]:
        files = [daemon.folder / "holdfast.toml", *daemon.folder.glob("agents/*.py")]
        return {str(file): file.read_bytes() for file in files}

    before = there()
    done = run("new-agent", name)
    assert done.returncode == code
    assert said in done.stderr
    assert there() == before


def test_init_overwrites_nothing_and_new_agent_needs_a_config(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    file = tmp_path / "agents" / "hello_agent.py"
    file.write_text("mine")
    done = command_line(tmp_path, "init")
    assert done.returncode == 1
    assert "hello_agent.py exists" in done.stderr
    assert file.read_text() == "mine"
    assert not (tmp_path / "holdfast.toml").exists()
    assert command_line(tmp_path, "new-agent", "x").returncode == 3
    assert "\ncd 'sub/9 Lives!'\n" in ok(command_line(tmp_path, "init", "sub/9 Lives!"))
    assert '\nname = "lives-"\n' in (tmp_path / "sub/9 Lives!/holdfast.toml").read_text()


# -- send, emit, sessions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("send helo 1", 1, "no actor 'helo'; did you mean hello?"),
        ("send hello {", 2, "not JSON"),
        ("send log 1 --ask", 1, "log"),
        ("events emit t {", 2, "not JSON"),
        ("events emit t NaN", 2, "not JSON"),
        ("sessions get nobody", 1, "no session 'nobody'"),
        ("sessions put s x", 2, "not JSON"),
        ("sessions put s 1 --ttl never", 2, "expected seconds > 0"),
        ("trace nobody", 1, "no event has the correlation"),
        ("start holdfast.toml --json", 2, "--json is of use with a CHILD only"),
        ("start holdfast.toml --timeout 1", 2, "--timeout is of use with a CHILD only"),
    ],
)
def test_bad_input_is_refused_by_name(run: Run, arguments: str, code: int, said: str) -> None:
    done = run(*arguments.split())
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_emitted_event_is_committed_once_for_its_key_and_traced(run: Run) -> None:
    first = ("--correlation", "request-17", "--key", "r1")  # of the same source, whoever says it
    assert ok(run("events", "emit", "ask", '{"n": 1e20}', *first)) == "committed\n"
    again = ok(run("events", "emit", "ask", '{"n": 1e20}', *first, "--json"))
    assert json.loads(again) == {"type": "ask", "key": "r1", "level": "committed", "new": False}
    second = ("--cause", "r1", "--correlation", "request-17", "--level", "disk")
    assert ok(run("events", "emit", "answer", "-", *second, stdin="[2]")) == "disk\n"
    found = objects(ok(run("events", "query", "--source", "cli", "--type", "ask", "--json")))
    assert [(event["type"], event["data"]) for event in found] == [("ask", {"n": 1e20})]
    drawn = ok(run("trace", "request-17"))
    assert [re.findall("ask|answer", line)[0] for line in drawn.splitlines()] == ["ask", "answer"]
    assert drawn == ok(run("events", "tree", "request-17"))


def test_a_session_is_put_got_and_ended(run: Run) -> None:
    version = ok(run("sessions", "put", "s1", '{"user": "ana"}', "--ttl", "1h")).strip()
    assert json.loads(ok(run("sessions", "get", "s1"))) == {"user": "ana"}
    refused = run("sessions", "put", "s1", "1", "--expected-version", "9.9")
    assert refused.returncode == 1
    assert version in refused.stderr
    newer = json.loads(
        ok(run("sessions", "put", "s1", "1", "--expected-version", version, "--json"))
    )
    assert newer["version"] != version
    ok(run("sessions", "end", "s1"))
    assert run("sessions", "get", "s1").returncode == 1


# -- tail and stats ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ten(run: Run) -> Run:
    """With ten events of the source /ten, of two types."""
    lines = [{"type": f"n:{n % 2}", "source": "/ten", "data": n, "session": "t"} for n in range(10)]
    ok(run("events", "import", "-", stdin="\n".join(map(json.dumps, lines))))
    return run


def tail(run: Run, *arguments: str) -> list[Any]:
    done = run("events", "tail", "--source", "/ten", "--json", *arguments)
    return [event["data"] for event in objects(ok(done))]


def test_tail_selects_and_goes_on_from_a_cursor_exactly(ten: Run) -> None:
    assert tail(ten) == list(range(10))
    assert tail(ten, "-n", "2") == [8, 9]
    assert tail(ten, "-n", "0") == []
    assert tail(ten, "--type", "n:1", "-n", "2", "--session", "t") == [7, 9]
    assert tail(ten, "--since", "1h", "--type", "n:0") == [0, 2, 4, 6, 8]
    assert tail(ten, "--until", "1h") == []
    shown = ok(ten("events", "tail", "--source", "/ten", "-n", "1", "--show-cursor"))
    cursor = shown.splitlines()[-1].removeprefix("-- cursor: ")
    assert tail(ten, "--cursor", cursor) == []
    events = objects(ok(ten("events", "tail", "--source", "/ten", "--json")))
    assert tail(ten, "--cursor", events[6]["cursor"]) == [7, 8, 9]
    assert tail(ten, "--cursor", events[6]["cursor"], "-n", "1") == [9]
    record = ok(ten("events", "tail", "--source", "/ten", "-n", "1", "--output", "verbose"))
    assert f"[cursor {events[9]['cursor']}]" in record.splitlines()[0]
    assert record.splitlines()[-1] == "    data: 9"
    assert ten("events", "tail", "-f", "--until", "1h").returncode == 2
    assert "another database" in ten("events", "tail", "--cursor", "99.1").stderr


def test_a_tail_that_was_interrupted_goes_on_from_the_cursor_it_said(
    daemon: ForkedDaemon, ten: Run
) -> None:
    @contextmanager
    def follow(*arguments: str) -> Iterator[subprocess.Popen[str]]:
        wanted = ("--type", "live:*", "--output", "json", "--show-cursor", *arguments)
        with spawn(daemon.folder, "events", "tail", "-f", *wanted) as process:
            try:
                yield process
            finally:
                process.kill()

    def say(number: int) -> None:
        ok(ten("events", "emit", "live:it", str(number)))

    with follow("-n", "0") as process:
        # Nothing matches yet; that is said once it follows.
        assert process.stderr is not None
        assert "no event has a type like 'live:*'" in process.stderr.readline()
        say(1)
        assert json.loads(next_line(process))["data"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 130
        cursor = next_line(process).removeprefix("-- cursor: ").strip()
    say(2)
    with follow("--cursor", cursor) as process:
        assert json.loads(next_line(process))["data"] == 2
        say(3)
        assert json.loads(next_line(process))["data"] == 3
        process.send_signal(signal.SIGINT)
        process.wait(TIMEOUT)


def test_stats_draw_when_the_events_came(ten: Run) -> None:
    table = ok(ten("events", "stats", "--source", "/ten")).splitlines()
    assert [line.split()[:2] for line in table] == [["type", "count"], ["n:0", "5"], ["n:1", "5"]]
    assert all("█" in line for line in table[1:])


def test_a_mark_stands_for_each_count_and_a_blank_for_none() -> None:
    assert sparkline([0, 1, 1000, 500]) == " ▁█▄"
    assert sparkline([0, 1, 8], plain=True) == " .@"
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "  "
