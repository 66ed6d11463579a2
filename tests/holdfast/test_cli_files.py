"""``holdfast files`` with a real daemon."""

from __future__ import annotations

import json
from pathlib import Path

from tests.daemon import Daemon
from tests.holdfast.conftest import Run


def test_response_logs_are_listed_shown_exported_and_deleted(
    daemon: Daemon, run: Run, tmp_path: Path
) -> None:
    assert run("files", "list", "--json").stdout == ""
    for content in ("hello", "there"):
        daemon.hub.files.append("../s 1", {"role": "user", "content": content})
    (listed,) = map(json.loads, run("files", "list", "--json").stdout.splitlines())
    assert (listed["session"], listed["parts"], listed["torn"]) == ("../s 1", 0, 0)
    assert "../s 1" in run("files", "list").stdout
    shown = [
        json.loads(line) for line in run("files", "show", "../s 1", "--json").stdout.splitlines()
    ]
    assert [(one["seq"], one["record"]["content"]) for one in shown] == [(1, "hello"), (2, "there")]
    assert "there" in run("files", "show", "../s 1", "--after", "1").stdout
    assert "hello" not in run("files", "show", "../s 1", "--after", "1").stdout
    assert run("files", "export", "../s 1").stdout.startswith("# ../s 1\n\n## user (")
    done = run("files", "export", "../s 1", "--json", "-o", "talk.json")
    assert (done.returncode, done.stdout) == (0, "")
    document = json.loads((tmp_path / "talk.json").read_text())
    assert [one["record"]["content"] for one in document["records"]] == ["hello", "there"]
    assert json.loads(run("files", "delete", "../s 1", "--json").stdout)["deleted"] is True
    again = run("files", "delete", "../s 1")
    assert (again.returncode, "no session '../s 1'" in again.stderr) == (1, True)
    gone = run("files", "show", "../s 1")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "no files of session" in gone.stderr
    missing = run("files", "export", "../s 1")
    assert (missing.returncode, missing.stdout) == (2, "")


def test_results_are_put_read_listed_and_deleted(daemon: Daemon, run: Run) -> None:
    put = run("files", "results", "put", "run 1", "--json", stdin='{"accuracy": 0.5}')
    assert json.loads(put.stdout) == {"name": "run 1", "version": 1}
    assert json.loads(run("files", "results", "get", "run 1").stdout) == {"accuracy": 0.5}
    read = json.loads(run("files", "results", "get", "run 1", "--json").stdout)
    assert (read["version"], read["value"]) == (1, {"accuracy": 0.5})
    (listed,) = map(json.loads, run("files", "results", "list", "--json").stdout.splitlines())
    assert listed["name"] == "run 1"
    assert run("files", "results", "put", "run 1", stdin="{").returncode == 2
    assert run("files", "results", "delete", "run 1").returncode == 0
    assert run("files", "results", "get", "run 1").returncode == 1
    assert run("files", "results", "delete", "run 1").returncode == 1
