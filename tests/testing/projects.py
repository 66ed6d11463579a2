"""Projects of users, and real runs of pytest in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from holdfast.testing import TIMEOUT

PLUGIN = 'pytest_plugins = ["holdfast.testing.pytest_plugin"]\n'

# A test file as a user writes it, agent and all.
WHOLE = """
import holdfast

class Planner(holdfast.Agent):
    def on_receive(self, message):
        self.hub.events.emit("planner:got", message)
        return [__name__, message]

class Outer:
    class Inner(Planner):
        pass

def test_an_agent_of_this_file(holdfast_daemon):
    daemon = holdfast_daemon(agents={"planner": Planner, "inner": Outer.Inner})
    assert daemon.ref("planner").ask("hello", timeout=20)[1] == "hello"
    assert daemon.ref("inner").ask("you", timeout=20)[1] == "you"
    assert daemon.next_event("planner:got", source="agent/inner").data == "you"
"""


def write(folder: Path, files: dict[str, str]) -> None:
    """The files by their path below the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def run_pytest(
    folder: Path, *arguments: str, installed: bool = False
) -> tuple[dict[str, int], str]:
    """How many tests had which outcome, and what pytest printed.

    ``installed``: with what is installed as a plugin, which takes most of the time of a short run.
    """
    # pytest's own script does not put the working directory on sys.path, as -m pytest does.
    script = "import sys; sys.path.pop(0); import pytest; sys.exit(pytest.main())"
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    if not installed:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", script, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
    )
    *_, summary = done.stdout.strip().splitlines() or [""]
    counts = re.findall(r"(\d+) (passed|failed|errors?)\b", summary)
    return {name.removesuffix("s"): int(count) for count, name in counts}, done.stdout
