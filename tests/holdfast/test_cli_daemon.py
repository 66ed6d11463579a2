"""The command line with a real daemon: the shapes that programs rely on."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.commandline import command_line
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT, Run, next_line, spawn
from tests.lending import lending

TRACES = ROOT / "examples" / "agent_traces.jsonl"
COLUMNS = "seq daemon time_us type source subject session correlation cause root depth key data"
CHILD = (
    "id pid state incarnation restarts last_exit mailbox handled rss children "
    "uptime cpu last_message busy"
)


shared, daemon = lending()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """For a test that ends it, or counts all that is in it."""
    with Daemon(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """In the folder of the test's daemon."""
    names = request.fixturenames
    folder = request.getfixturevalue("shared").folder if "daemon" in names else tmp_path
    return partial(command_line, folder)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def walk(child: dict[str, Any]) -> list[dict[str, Any]]:
    return [child, *(below for each in child["children"] for below in walk(each))]


def test_ready_is_one_line_with_the_pid_and_the_run_dir(tmp_path: Path, run: Run) -> None:
    (tmp_path / "test.toml").write_text("")
    with spawn(tmp_path, "start", "test.toml", "--run-dir", "here") as process:
        ready = next_line(process)
        assert run("stop", "--run-dir", "here").returncode == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    wanted = f"ready default pid={process.pid} run_dir={tmp_path / 'here'}\n"
    assert ready == wanted


def test_status_tells_of_every_process(daemon: Daemon, run: Run) -> None:
    done = run("status", "--json")
    (status,) = objects(done.stdout)
    assert done.returncode == 0
    assert status["name"] == "test"
    assert status["uptime"] >= 0
    assert {"version", "sqlite_version", "root"} < set(status)
    assert status["root"]["pid"] == daemon.process.pid
    children = walk(status["root"])
    names = {"state", "agents", "writer", "query", "log", "sessions", "checkpoints", "files"}
    assert names < {child["id"] for child in children}
    for child in children:
        assert set(CHILD.split()) <= set(child)
        assert child["state"] == "running"
        assert Path(f"/proc/{child['pid']}").exists()
    text = run("status").stdout
    assert all(name in text for name in names)
    assert "\x1b" not in text


def test_a_file_imported_twice_is_stored_once(own: Daemon, run: Run) -> None:
    """Scenario D5."""
    first = run("events", "import", TRACES, "--json")
    second = run("events", "import", TRACES, "--json")
    count = run("events", "query", "--source", "/agent/swe-agent", "--count", "--json")
    wanted = {"read": 607, "accepted": 607, "committed": 607, "duplicates": 0, "rejected": []}
    assert objects(first.stdout) == [wanted]
    assert objects(second.stdout) == [wanted | {"committed": 0, "duplicates": 607}]
    assert (first.returncode, second.returncode) == (0, 0)
    assert objects(count.stdout) == [{"count": 607}]


def test_a_line_without_a_source_is_stored_once_too(daemon: Daemon, run: Run) -> None:
    for duplicates in (0, 1):
        done = run("events", "import", "-", "--json", stdin='{"type":"t","id":"alone"}\n')
        assert objects(done.stdout)[0]["duplicates"] == duplicates


def test_bad_lines_are_rejected_by_number_and_the_rest_is_stored(own: Daemon, run: Run) -> None:
    """Scenarios D14 and D17."""
    lines = ['{"type":"a","id":"1"}', "[]", '{"id":"2"}', "", '{"type":"b","data":NaN}']
    lines += ['{"type":"x\\u0000"}', '{"type":"c","data":{"n":1e20}}', '{"type":"d"']
    done = run("events", "import", "-", "--json", stdin="\n".join(lines))
    (counts,) = objects(done.stdout)
    assert done.returncode == 3
    assert [each["line"] for each in counts["rejected"]] == [2, 3, 5, 6, 8]
    assert all(each["reason"] for each in counts["rejected"])
    assert (counts["read"], counts["accepted"], counts["committed"]) == (7, 2, 2)
    found = objects(run("events", "query", "--source", "import", "--json").stdout)
    assert [(event["type"], event["data"]) for event in found] == [("a", None), ("c", {"n": 1e20})]
    text = run("events", "import", "-", stdin="7\n")
    assert "line 1: expected a JSON object" in text.stderr
    assert "rejected 1" in text.stdout


def test_an_empty_file_is_imported(daemon: Daemon, run: Run) -> None:
    done = run("events", "import", "-", "--json")
    assert done.returncode == 0
    assert objects(done.stdout)[0]["read"] == 0


def test_query_finds_by_every_condition(daemon: Daemon, run: Run) -> None:
    lines = [
        {"type": "tool:call", "id": "1", "source": "/a", "session": "s1", "time_us": 1_000_000},
        {"type": "tool:result", "id": "2", "source": "/a", "session": "s2", "time": 2},
        {"type": "note", "id": "3", "source": "/b", "session": "s1", "time_us": 3_000_000},
    ]
    run("events", "import", "-", stdin="\n".join(map(json.dumps, lines)))

    def keys(*arguments: str) -> str:
        ours = ("--until", "1970-01-01T00:01")
        done = run("events", "query", "--json", *ours, *arguments)
        assert done.returncode == 0, done.stderr
        found = objects(done.stdout)
        assert all(list(event) == COLUMNS.split() for event in found)
        return "".join(event["key"] for event in found)

    first = objects(run("events", "query", "--until", "1.5", "--json").stdout)[0]["seq"]
    assert keys() == "123"
    assert keys("--reverse") == "321"
    assert keys("--type", "tool:*") == "12"
    assert keys("--type", "*call", "--type", "note") == "13"
    assert keys("--session", "s1") == "13"
    assert keys("--source", "/b") == "3"
    assert keys("--since", "2") == "23"
    assert keys("--since", "1970-01-01T00:00:02Z", "--until", "3") == "2"
    assert keys("--since", "10m") == ""
    assert keys("--after", str(first)) == "23"
    assert keys("--limit", "2") == "12"
    assert keys("--limit", "2", "--reverse") == "32"


def test_an_event_comes_out_as_it_went_in(daemon: Daemon, run: Run) -> None:
    """Scenario D9, through the command line."""
    data = {"big": 2**80, "float": 1e20, "zero": -0.0, "text": "ä\u2028\x00", "none": None}
    line: dict[str, object] = {"type": "t", "id": "k", "source": "/whole", "subject": "x"}
    line |= {"session": "s", "correlation": "c", "parent": "p", "time_us": 90_000_000}
    run("events", "import", "-", stdin=json.dumps(line | {"data": data}))
    (event,) = objects(run("events", "query", "--source", "/whole", "--json").stdout)
    assert repr(event["data"]) == repr(data)
    wanted: dict[str, object] = {"type": "t", "key": "k", "source": "/whole", "subject": "x"}
    wanted |= {
        "session": "s",
        "correlation": "c",
        "cause": "p",
        "time_us": 90_000_000,
        "daemon": "test",
    }
    assert {name: event[name] for name in wanted} == wanted


def test_an_export_holds_every_event_and_can_be_imported(daemon: Daemon, run: Run) -> None:
    run("events", "import", TRACES)
    ours = ("--source", "/agent/swe-agent")
    done = run("events", "export", *ours, "-o", "out.jsonl")
    assert done.returncode == 0
    text = (daemon.folder / "out.jsonl").read_text()
    assert run("events", "export", *ours, "--json").stdout == text
    exported = objects(text)
    traces = objects(TRACES.read_text())
    assert [event["key"] for event in exported] == [line["id"] for line in traces]
    assert [event["data"] for event in exported] == [line["data"] for line in traces]
    again = run("events", "import", "out.jsonl", "--json")
    assert objects(again.stdout)[0]["duplicates"] == 607


def test_an_export_that_cannot_be_written_leaves_nothing(daemon: Daemon, run: Run) -> None:
    done = run("events", "export", "-o", "no/such/folder/out.jsonl")
    assert done.returncode == 1
    assert "no/such/folder" in done.stderr


def test_a_reader_that_leaves_ends_the_export_quietly(daemon: Daemon, run: Run) -> None:
    run("events", "import", TRACES)
    with spawn(daemon.folder, "events", "export") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(TIMEOUT) == 0
        assert process.stderr.read() == ""


def test_tail_prints_the_newest_last(daemon: Daemon, run: Run) -> None:
    run("events", "import", "-", stdin="".join(f'{{"type":"t{n}"}}\n' for n in range(30)))
    found = objects(run("events", "tail", "-n", "3", "--json").stdout)
    assert [event["type"] for event in found] == ["t27", "t28", "t29"]
    assert len(run("events", "tail").stdout.splitlines()) == 10


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_tail_follows_until_it_is_interrupted(
    daemon: Daemon, run: Run, number: signal.Signals, code: int
) -> None:
    run("events", "import", "-", stdin='{"type":"old"}\n')
    with spawn(daemon.folder, "events", "tail", "-f", "-n", "1", "--json") as process:
        assert json.loads(next_line(process))["type"] == "old"
        run("events", "import", "-", stdin='{"type":"new"}\n')
        assert json.loads(next_line(process))["type"] == "new"
        process.send_signal(number)
        _, complaint = process.communicate(timeout=TIMEOUT)
        assert process.returncode == code
        assert "Traceback" not in complaint


def test_what_could_steer_a_terminal_is_escaped(daemon: Daemon, run: Run) -> None:
    line = {"type": "t\x1b[2J", "source": "/steering", "data": "\x1b]0;x\x07\u202e"}
    run("events", "import", "-", stdin=json.dumps(line))
    text = run("events", "query", "--source", "/steering").stdout
    assert text.rstrip("\n").isprintable()


def test_colours_are_for_terminals_without_no_color(daemon: Daemon) -> None:
    def status(**changes: str) -> bytes:
        reading, writing = os.openpty()
        try:
            with spawn(daemon.folder, "status", stdout=writing, changes=changes) as process:
                process.wait(TIMEOUT)
            assert select.select([reading], [], [], TIMEOUT)[0]
            return os.read(reading, 65536)
        finally:
            os.close(reading)
            os.close(writing)

    assert b"\x1b[" in status(TERM="xterm")
    assert b"\x1b[" not in status(TERM="xterm", NO_COLOR="1")


def test_stop_leaves_no_process_and_no_socket(own: Daemon, run: Run) -> None:
    """Scenario D15, as a user sees it."""
    (status,) = objects(run("status", "--json").stdout)
    pids = [child["pid"] for child in walk(status["root"])]
    done = run("stop", "--json")
    assert done.returncode == 0, done.stderr
    assert objects(done.stdout)[0]["pid"] == own.process.pid
    assert own.process.wait(TIMEOUT) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not list(own.run_dir.glob("*.sock"))
    wal = own.database.with_name("holdfast.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0
    assert run("status").returncode == 4


def test_a_second_daemon_on_the_same_data_is_refused(daemon: Daemon, run: Run) -> None:
    """Scenario D7."""
    done = run("start", "test.toml", "--run-dir", "other")
    assert done.returncode == 1
    assert str(daemon.process.pid) in done.stderr
    assert run("status").returncode == 0


def test_a_stopped_root_is_reported_and_not_waited_for_for_ever(own: Daemon, run: Run) -> None:
    done = run("stop", "--timeout", "0")
    assert done.returncode in (0, 1)  # 0 only when it was faster than the first look
    assert done.returncode == 0 or "still running" in done.stderr
    assert own.process.wait(TIMEOUT) == 0


def test_an_import_is_exact_although_log_and_writer_die_meanwhile(own: Daemon, run: Run) -> None:
    (status,) = objects(run("status", "--json").stdout)
    pids = {child["id"]: child["pid"] for child in walk(status["root"])}
    lines = TRACES.read_text().splitlines(keepends=True)
    with spawn(own.folder, "events", "import", "-", "--json", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for index, line in enumerate(lines):
            process.stdin.write(line)
            if index in (200, 400):
                process.stdin.flush()
                os.kill(pids["log" if index == 200 else "writer"], signal.SIGKILL)
        output, _ = process.communicate(timeout=TIMEOUT)
    assert objects(output)[0]["committed"] == 607
    found = objects(run("events", "query", "--limit", "1000", "--type", "*:*", "--json").stdout)
    keys = [event["key"] for event in found if event["source"] == "/agent/swe-agent"]
    assert keys == [json.loads(line)["id"] for line in lines]


def test_a_killed_root_is_no_daemon_and_can_be_started_again(own: Daemon, run: Run) -> None:
    """Scenario 25, as a user sees it: what is left of the sockets misleads nobody."""
    own.process.kill()
    own.process.wait(TIMEOUT)
    assert run("status").returncode == 4
    assert run("stop").returncode == 4
    with spawn(own.folder, "start", "test.toml") as again:
        assert next_line(again).startswith("ready ")
        assert run("stop").returncode == 0
        assert again.wait(TIMEOUT) == 0


def test_a_daemon_that_gave_up_exits_with_5(tmp_path: Path, run: Run) -> None:
    limits = "max_restarts = 0\n"
    config = f"[supervisors.root]\n{limits}[supervisors.state]\n{limits}"
    (tmp_path / "test.toml").write_text(config)
    with spawn(tmp_path, "start", "test.toml") as process:
        assert next_line(process).startswith("ready ")
        (status,) = objects(run("status", "--json").stdout)
        (writer,) = (child for child in walk(status["root"]) if child["id"] == "writer")
        os.kill(writer["pid"], signal.SIGKILL)
        _, log = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 5, log
