"""docs/SESSIONS.md says what is so: its program is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.daemon import TIMEOUT, Daemon

PAGE = Path(__file__).resolve().parents[2] / "docs" / "SESSIONS.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 10
    program = tmp_path / "program.py"
    program.write_text("\n".join([*blocks, "hub.close()"]), encoding="utf-8")
    with Daemon(tmp_path) as daemon:
        subprocess.run(
            [sys.executable, "-W", "error", program], cwd=daemon.folder, timeout=TIMEOUT, check=True
        )
