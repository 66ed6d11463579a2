"""docs/FILES.md and docs/TRACKER.md: their examples run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.settings import TrackerSettings
from tests.commandline import environment
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT


def blocks(page: str, language: str) -> list[str]:
    """The examples of a page in one language."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_example(daemon: Daemon, page: str) -> str:
    """Run the one Python example of a page; what it prints."""
    (program,) = blocks(page, "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=daemon.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return done.stdout


def test_the_example_of_the_page_on_files_runs_and_its_line_is_one_of_a_file(
    daemon: Daemon,
) -> None:
    printed = run_example(daemon, "FILES.md")
    assert printed.startswith("2 4\n# s1\n\n## user (")
    assert printed.endswith("\n2 {'accuracy': 0.92}\n")
    (shown,) = map(json.loads, blocks("FILES.md", "json"))
    path = daemon.database.parent / "files" / "logs" / "s1.jsonl"
    written = json.loads(path.read_text().splitlines()[1])
    assert list(shown) == list(written)
    assert [type(value) for value in shown.values()] == [type(value) for value in written.values()]


def test_the_example_of_the_page_on_trackers_runs(daemon: Daemon) -> None:
    assert run_example(daemon, "TRACKER.md") == "r1 {'prompt': 'hi'} attempt 2\n"
    request = daemon.hub.tracker.get("r1")
    assert request is not None
    assert (request.status, request.result) == ("finished", {"text": "hello"})
    (config,) = blocks("TRACKER.md", "toml")
    tracker = parse_settings(config, file="x").actors["tracker"]
    assert isinstance(tracker, TrackerSettings)
    assert list(tracker.limits) == ["llm"]
