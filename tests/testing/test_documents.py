"""docs/TESTING.md and the example say what is so: both are run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.testing.projects import run_pytest, write

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ("test_faults.py", "test_disk.py")
BLOCK = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)


@pytest.mark.slow  # a pytest within this one, with daemons of its own
@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_the_project_of_the_page_passes(tmp_path: Path, mode: str) -> None:
    files = {name: text for name, text in of_the_page().items() if name not in FAULTS}
    # Its agent is a module beside the tests, which pytest finds by itself in one mode only.
    check(tmp_path, files, f"--import-mode={mode}")


@pytest.mark.slow  # a pytest within this one, with daemons of its own
def test_the_faults_of_the_page_are_injected(tmp_path: Path) -> None:
    check(tmp_path, of_the_page(), *FAULTS)


def of_the_page() -> dict[str, str]:
    page = (ROOT / "docs" / "TESTING.md").read_text(encoding="utf-8")
    files = dict(BLOCK.findall(page))
    assert len(files) == page.count("```python") > 7
    return files


def check(folder: Path, files: dict[str, str], *arguments: str) -> None:
    write(folder, files | {"pytest.ini": "[pytest]\npythonpath = .\n"})
    counts, output = run_pytest(folder, *arguments, "-W", "error")
    named = {name for name in files if name in arguments}
    run = [text for name, text in files.items() if name in named or not named]
    expected = sum(text.count("def test_") for text in run)
    assert counts == {"passed": expected}, output


@pytest.mark.slow  # of one kind with the page's
def test_the_example_passes_where_it_is() -> None:
    counts, output = run_pytest(ROOT, "examples/test_planner.py")
    assert counts == {"passed": 4}, output
