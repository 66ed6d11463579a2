"""What the property tests of relational state draw: names, values, changes, questions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

ID_NAMES = ["a", "b", "c/../d", "e'\"e", "é"]
ids = st.sampled_from(ID_NAMES)
types = st.sampled_from(["agent", "job'; DROP TABLE entities; --"])
names = st.sampled_from(["n", "s", "status", "l", "na'me\"", "$b", "名"])
relation_types = st.sampled_from(["knows", "owns\\"])
keys = st.sampled_from(["in", "out"])

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 10**20, 10**20 + 1, 10**400]),
    st.sampled_from([0.5, -0.0, 1.0, 1e20, 2.0**63, 1e308, -1e308, 5e-324, 1e-7]),
)
# Two long texts that begin alike have no order, so only one of them is ever there.
texts = st.one_of(
    st.sampled_from(["", "a", "A", "ab", "B", "ä", "\U0001f600", "a%_b", "x" * 300]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(scalars, st.binary(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["k", "$bytes", "m"]), inner, max_size=2),
    ),
    max_leaves=4,
)
properties = st.dictionaries(names, values, max_size=4)
small_numbers = st.one_of(st.integers(-5, 5), st.sampled_from([0.5, 2**64]))

conditions = st.one_of(
    st.tuples(names, st.sampled_from(["=", "!="]), values),
    st.tuples(names, st.sampled_from(["<", "<=", ">", ">="]), scalars),
    st.tuples(names, st.just("in"), st.lists(values, max_size=3)),
    st.tuples(names, st.just("like"), st.sampled_from(["%", "a%", "_", "%b", "%x_", "Ä", ""])),
    st.tuples(names, st.just("exists"), st.booleans()),
)
