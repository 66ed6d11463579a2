"""docs/SUBSCRIPTIONS.md says what is so: it is run as it stands, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.daemon import TIMEOUT, Daemon

PAGE = Path(__file__).resolve().parent.parent / "docs" / "SUBSCRIPTIONS.md"
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
PRINTED = re.compile(r"```text\n(.*?)```", re.DOTALL)


def test_the_examples_of_the_page_print_what_it_says(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    with Daemon(tmp_path / "daemon") as daemon:
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "run").symlink_to(daemon.run_dir)
        program = "".join(PROGRAM.findall(page))
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "".join(PRINTED.findall(page))
