"""What the errors say to whoever reads them."""

from __future__ import annotations

import pytest

from holdfast.errors import Conflict


@pytest.mark.parametrize(
    ("expected", "current", "text"),
    [
        (0, 3, "entity 'a': exists already, its version is 3"),
        (None, "k2", "entity 'a': exists already, its version is k2"),
        (2, 0, "entity 'a': expected version 2, but it does not exist"),
        ("k1", None, "entity 'a': expected version k1, but it does not exist"),
        (2, 3, "entity 'a': expected version 2, but the current one is 3"),
    ],
)
def test_a_conflict_says_whether_it_is_there_at_all(
    expected: str | int | None, current: str | int | None, text: str
) -> None:
    error = Conflict("entity 'a'", expected=expected, current=current)
    assert (str(error), error.expected, error.current) == (text, expected, current)
