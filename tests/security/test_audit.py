"""The packages that holdfast needs: floors for all, and no vulnerability that is known."""

from __future__ import annotations

import configparser
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.security.audit import UnreachableError, audit, needed, read

SETUP = Path(__file__).resolve().parents[2] / "setup.cfg"


def test_every_package_that_is_needed_has_a_floor() -> None:
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    lines = setup["options"]["install_requires"].split("\n")
    without = [line for line in lines if line and not re.search(r">= *\d", line)]
    assert not without


def test_no_package_that_is_needed_has_a_known_vulnerability() -> None:
    if find_spec("pip_audit") is None:
        pytest.skip("pip-audit is not installed here: ./run audit installs it")
    try:
        assert audit() == []
    except UnreachableError as error:
        pytest.skip(f"nobody to ask: {error}")


def test_what_the_service_says_is_read_and_what_it_leaves_out_is_no_all_clear() -> None:
    vulnerability = {"id": "PYSEC-1", "fix_versions": ["2.0"]}
    good, bad = (
        {"name": name, "version": "1.0", "vulns": vulns}
        for name, vulns in (("Good_one", []), ("bad", [vulnerability]))
    )
    assert read({"dependencies": [good, bad]}, {"good-one"}) == []
    assert read({"dependencies": [good, bad]}, {"bad"}) == ["bad 1.0: PYSEC-1, fixed in 2.0"]
    skipped = {"name": "bad", "skip_reason": "not found on PyPI"}
    with pytest.raises(UnreachableError, match="knows nothing of bad"):
        read({"dependencies": [good, skipped]}, {"good-one", "bad"})


def test_what_is_needed_is_what_an_installation_without_extras_has() -> None:
    assert {"apsw", "msgspec", "pykka", "click", "rich", "markdown-it-py"} <= needed()
    assert "pytest" not in needed()
