"""Full-text search in a real daemon: turned on, killed while it is built, turned off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast import InvalidInputError
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.holdfast.conftest import Run
from tests.holdfast.conftest import run as run

FULL_TEXT = CONFIG + "[storage]\nfull_text = true\n"


def wait_until_indexed(daemon: Daemon) -> None:
    """A search that is refused while there is something to do; each waits for the next commit."""
    for n in range(10_000):
        try:
            daemon.hub.events.search("word", limit=1)
        except InvalidInputError as error:
            if "not in the full-text index yet" not in str(error):
                raise
            daemon.hub.events.emit("filler", n)
            daemon.hub.flush(timeout=TIMEOUT)
        else:
            return
    raise AssertionError("it is never done")


def test_search_is_off_until_it_is_asked_for(tmp_path: Path, run: Run) -> None:
    with Daemon(tmp_path) as daemon:
        for n in range(2_000):
            daemon.hub.events.emit("note", {"text": f"word number{n} " + "x" * 500}, session="s")
        daemon.hub.flush()
        with pytest.raises(InvalidInputError, match="full_text = true"):
            daemon.hub.events.search("word")
    with Daemon(tmp_path, FULL_TEXT) as daemon:
        daemon.kill("writer")  # the next one goes on where it stood
        daemon.hub.events.emit("note", {"text": "word and more"}, session="t")
        daemon.hub.flush()
        assert len(daemon.hub.events.search("more", partial=True)) == 1
        wait_until_indexed(daemon)
        found = daemon.hub.events.search("word", limit=1_500)
        assert len(found) == 1_500
        assert [event.seq for event in found] == sorted((e.seq for e in found), reverse=True)
        (first,) = daemon.hub.events.search("number0")
        assert first.data["text"].startswith("word number0 ")
        oldest = daemon.hub.events.search("word", limit=1, reverse=False, session="t")
        assert [event.data["text"] for event in oldest] == ["word and more"]
        done = run("events", "search", "number7 OR more", "--type", "note", "--json")
        texts = [json.loads(line)["data"]["text"][:13] for line in done.stdout.splitlines()]
        assert texts == ["word and more", "word number7 "]
        refused = run("events", "search", "a-b")
        assert refused.returncode == 2
        assert "in quotes" in refused.stderr
    with Daemon(tmp_path) as daemon, pytest.raises(InvalidInputError, match="full text is off"):
        daemon.hub.events.search("word")
