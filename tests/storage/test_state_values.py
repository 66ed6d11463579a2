"""What values are compared by: the order is theirs, at any size."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.storage.state_values import comparable, comparable_text, parsed_object
from tests.state_model import same

EDGES = [2**53, 2**63, 2**64, 10**20, 10**308, int(sys.float_info.max), 10**400, 10**4000]
NEAR = [-1, 0, 1]
numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(
        lambda edge, by, sign: sign * (edge + by),
        st.sampled_from(EDGES),
        st.sampled_from(NEAR),
        st.sampled_from([1, -1]),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=2, max_size=40))
def test_numbers_of_any_size_order_in_sqlite_as_they_do_in_python(values: list[Any]) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (n INTEGER, kind INTEGER, key ANY, rest ANY) STRICT")
    connection.executemany(
        "INSERT INTO t VALUES (?, ?, ?, ?)",
        [(n, *comparable(value)) for n, value in enumerate(values)],
    )
    rows = connection.execute("SELECT n FROM t ORDER BY kind, key, rest").fetchall()
    found = [values[n] for (n,) in rows]  # type: ignore[index]  # an integer column
    assert all(one <= other for one, other in pairwise(found))
    for one in values:
        (count,) = connection.execute(
            "SELECT count(*) FROM t WHERE (kind, key, rest) = (?, ?, ?)", comparable(one)
        ).fetchone()  # type: ignore[misc]  # count gives a row
        assert count == sum(one == other for other in values)
    connection.close()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (10**20, 1e20),
        ([1, {"a": 2.0, "b": None}], [1.0, {"b": None, "a": 2}]),
        (True, 1),
        ("1", 1),
        (None, False),
        ([1], [True]),
        ("x" * 300, "x" * 299 + "y"),
        ({"$bytes": "eA=="}, "eA=="),
    ],
)
def test_values_are_equal_when_they_mean_the_same(one: Any, other: Any) -> None:
    # As SQLite has it: keys that are numbers are equal whatever their type.
    assert (comparable(one) == comparable(other)) is same(one, other)


@pytest.mark.parametrize("text", ["NaN", "1e999", "[1", "", '{"a":Infinity}', '"\\ud800"'])
def test_what_is_no_json_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(InvalidInputError, match="where"):
        comparable_text(text, "where")


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 257, "$bytes", "$$bytes"])
def test_what_cannot_be_the_name_of_a_property_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="properties"):
        parsed_object(json.dumps({name: 1, "other": 2}), "properties")
