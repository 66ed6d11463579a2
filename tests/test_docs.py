"""The pages that name tests as proofs: every one of them exists."""

from __future__ import annotations

import re
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
