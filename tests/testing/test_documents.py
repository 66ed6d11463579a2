"""docs/TESTING.md and the example say what is so: both are run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.testing.projects import run_pytest, write

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_the_project_of_the_page_passes(tmp_path: Path, mode: str) -> None:
    page = (ROOT / "docs" / "TESTING.md").read_text(encoding="utf-8")
    files = dict(BLOCK.findall(page))
    assert len(files) == page.count("```python") > 7
    # Its agent is a module beside the tests, which pytest finds by itself in one mode only.
    write(tmp_path, files | {"pytest.ini": "[pytest]\npythonpath = .\n"})
    counts, output = run_pytest(tmp_path, f"--import-mode={mode}", "-W", "error")
    expected = sum(text.count("def test_") for text in files.values())
    assert counts == {"passed": expected}, output


def test_the_example_passes_where_it_is() -> None:
    counts, output = run_pytest(ROOT, "examples/test_planner.py")
    assert counts == {"passed": 4}, output
