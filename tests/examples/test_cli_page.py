"""docs/CLI.md: its commands run as they stand, on the daemon that ``init`` makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon import TIMEOUT, ForkedDaemon
from tests.examples.test_operations_page import BLOCK, run
from tests.holdfast.conftest import ROOT


@pytest.mark.slow  # each command is a process of its own: 25 s of the processor
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    blocks = dict(BLOCK.findall(page))
    names = ["begin", "look", "actors", "events", "cursor", "state", "swap", "stop"]
    assert list(blocks) == names
    run(tmp_path, blocks["begin"])
    config = (tmp_path / "holdfast.toml").read_text(encoding="utf-8")
    made = ForkedDaemon(tmp_path, config, profile={})
    made.config_file.write_text(config, encoding="utf-8")  # as it is: the kit has changed it
    with made as daemon:
        looked = run(tmp_path, blocks["look"])
        assert "planner" in looked
        assert "SQLite" in looked.splitlines()[-1]
        acted = run(tmp_path, blocks["actors"]).splitlines()
        assert acted[0] == "planner handled it"
        assert json.loads(acted[1])["count"] == 2
        assert acted[-1].startswith("started planner")
        told = run(tmp_path, blocks["events"])
        assert told.startswith("committed\ncommitted\n")
        assert "└── " in told  # the call below the plan
        assert "tool:result" in run(tmp_path, blocks["cursor"]).splitlines()[-1]
        stated = run(tmp_path, blocks["state"])
        assert '{"user":"ana"}' in stated
        assert "session s1 ended" in stated
        assert "task-1" in stated
        moved = run(tmp_path, blocks["swap"])
        assert moved.startswith("the data is in ")
        assert moved.endswith("no swap has left anything\n")
        assert "today.db: whole" in run(tmp_path, blocks["stop"])
        assert daemon.process.wait(TIMEOUT) == 0
