"""The pages that name tests as proofs: every one of them exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"`((?:[\w/]+\.py)?)::(test_\w+)`")


@pytest.mark.parametrize(
    ("page", "below"),
    [("GUARANTEES.md", ""), ("SECURITY.md", ""), ("SUPERVISION.md", "supervisors")],
)
def test_every_test_that_a_page_names_exists(page: str, below: str) -> None:
    named = NAMED.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert len(named) > 10
    missing, file = [], ""
    for path, name in named:
        file = path or file  # `::name` is in the file named last
        source = (ROOT / "tests" / below / file).read_text(encoding="utf-8")
        if f"def {name}(" not in source:
            missing.append(f"{file}::{name}")
    assert not missing


def python_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


def test_the_first_page_of_the_site_has_the_example_of_the_readme() -> None:
    assert python_of("docs/index.md") == python_of("README.md")


@pytest.mark.slow  # it installs what builds the site
def test_the_site_is_built_without_a_warning() -> None:
    built = subprocess.run(["./run", "docs"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (ROOT / "build" / "site" / "index.html").exists()


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert {page for page in pages if f": {page}\n" not in nav} == set()
