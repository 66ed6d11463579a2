"""Scenario D17, D18: no path comes from a name, and no two names share a file."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.storage.file_names import MAX_NAME, checked_name, name_of, stem_of

names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=300,
)
# Names that are nearly each other: what a mapping would confuse.
similar = st.sampled_from(["a", "A", "%61", "a.", ".a", "a/b", "a%2fb", "..", "é", "e\u0301", "~"])


@given(st.one_of(names, similar))
def test_a_name_is_one_safe_file_name(name: str) -> None:
    stem = stem_of(name)
    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-%~")
    assert 0 < len(stem) <= 160
    assert os.path.basename(stem) == stem
    assert stem not in {".", ".."}


@given(st.one_of(names, similar), st.one_of(names, similar))
def test_two_names_never_share_a_file_whatever_the_file_system_folds(one: str, two: str) -> None:
    def folded(name: str) -> str:
        return unicodedata.normalize("NFC", stem_of(name)).casefold()

    assert (folded(one) == folded(two)) == (one == two)


@given(names)
def test_a_name_is_read_back_from_its_file_unless_it_was_shortened(name: str) -> None:
    assert name_of(stem_of(name)) == (None if "~" in stem_of(name) else name)


@given(st.integers(160, 1_000), names)
def test_long_names_differ_by_their_ends(length: int, end: str) -> None:
    beginning = "x" * length
    assert (stem_of(beginning + end) == stem_of(beginning + "y")) == (end == "y")


@given(st.text())
def test_a_file_that_nobody_named_is_nobodys(stem: str) -> None:
    found = name_of(stem)
    assert found is None or stem_of(found) == stem


def test_a_long_name_makes_a_file(tmp_path: Path) -> None:
    name = "../" * 341
    (tmp_path / f"{stem_of(name)}.000000000001-000000000002.jsonl.zst.draft").touch()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("bad", ["", "a\0b", "x" * (MAX_NAME + 1), "\ud800"])
def test_what_is_no_name_is_refused_by_its_field(bad: str) -> None:
    with pytest.raises(InvalidInputError, match="session = "):
        checked_name("session", bad)
