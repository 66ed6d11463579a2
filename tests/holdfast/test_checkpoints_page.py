"""docs/CHECKPOINTS.md says what is so: its examples are run as they stand."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import holdfast
from tests import forkserver
from tests.daemon import CONFIG, TIMEOUT, Daemon

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "CHECKPOINTS.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
AGENT = "\n[agents.planner]\nclass = 'agents:Counter'\n"


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```") // 2 == 5
    programs = [text for kind, text in blocks if kind == "python"]
    (agents,) = [text for text in programs if text.startswith("# agents.py")]
    (tmp_path / "agents.py").write_text(agents, encoding="utf-8")
    with Daemon(tmp_path, CONFIG + AGENT) as daemon:
        for program in programs:
            if program is not agents:
                # Each thread of its own: the page's programs are not each other's next life.
                exec(program, {"holdfast": holdfast, "run_dir": daemon.run_dir})
        ask = daemon.ref("planner").ask
        assert [ask(n, timeout=TIMEOUT) for n in range(2)] == [1, 2]
        for _ in range(2):
            _run(daemon, "holdfast checkpoints create")
        (shell,) = [text for kind, text in blocks if kind == "sh"]
        for line in shell.splitlines():
            _run(daemon, line)
        assert ask(0, timeout=TIMEOUT) == 3  # as it was restored, and one more


def _run(daemon: Daemon, line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)
    assert name == "holdfast"
    done = forkserver.run(
        "holdfast",
        *arguments,
        "--run-dir",
        daemon.run_dir,
        folder=daemon.folder,
        environment=os.environ,
        stdin="",
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
