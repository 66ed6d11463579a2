"""What a test says becomes a config file, complete and in the test's own folder."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.testing import PROFILE
from holdfast.testing.config import config_text, database_name
from tests.testing.agents import Clerk

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
TABLE = st.dictionaries(TEXTS, PLAIN, max_size=2)


@settings(max_examples=100)
@given(
    st.dictionaries(TEXTS, PLAIN | st.dictionaries(TEXTS, TABLE | PLAIN, max_size=2), max_size=3)
)
def test_every_table_comes_back_from_the_file_as_it_was(document: dict[str, Any]) -> None:
    document.pop("agents", None)
    assert tomllib.loads(config_text(document, None, {})) == document


def test_the_profile_completes_every_supervisor_and_the_configs_own_keys_win() -> None:
    config = {
        "daemon": {"name": "mine"},
        "supervisors": {"root": {"max_restarts": 2}, "crew": {"parent": "agents"}},
    }
    done = tomllib.loads(config_text(config, None, PROFILE))
    patient = PROFILE["supervisors"]["*"]
    assert done["daemon"] == {"name": "mine"}
    assert done["supervisors"] == {
        "root": patient | {"max_restarts": 2},
        "crew": patient | {"parent": "agents"},
        "state": patient,
        "agents": patient,
    }
    assert config["supervisors"] == {
        "root": {"max_restarts": 2},
        "crew": {"parent": "agents"},
    }, "the test's own table was changed"


def test_a_profile_of_ones_own_replaces_it() -> None:
    profile = {"actors": {"log": {"capacity": 5}}, "supervisors": {"agents": {"backoff": 0.0}}}
    assert tomllib.loads(config_text(None, None, profile)) == profile


def test_a_text_that_needs_nothing_stays_as_it_is() -> None:
    text = "# a comment\n[actors.log]\ncapacity = 5\n"
    assert config_text(text, None, {}) == text


def test_directories_are_those_of_the_test() -> None:
    """The daemon works in another folder."""
    config = '[agents.a]\nclass = "x:A"\npython_path = ["src"]\n[agents.b]\nclass = "y:B"\n'
    agents = tomllib.loads(config_text(config, {"c": Clerk}, {}))["agents"]
    assert agents["a"]["python_path"] == [os.path.abspath("src")]
    assert os.getcwd() in agents["b"]["python_path"]
    assert agents["c"]["class"] == "tests.testing.agents:Clerk"
    assert str(Path(__file__).parents[2]) in agents["c"]["python_path"]


@pytest.mark.parametrize(
    ("config", "agents", "said"),
    [
        (
            {"actors": {"log": {"capacity": None}}},
            None,
            r"\[actors.log\] capacity = None: expected",
        ),
        ({}, {"a": {"class": "x:A", "options": {"o": object}}}, r"\[agents.a\] options = .*object"),
        ("[no toml", {"a": "x:A"}, "config is not TOML"),
    ],
)
def test_what_no_file_could_have_is_refused_by_name(config: Any, agents: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        config_text(config, agents, PROFILE)


def test_a_database_outside_of_the_folder_is_refused() -> None:
    assert database_name('[storage]\npath = "sub/mine.db"') == "sub/mine.db"
    with pytest.raises(InvalidInputError, match="a relative path"):
        database_name('[storage]\npath = "/var/lib/product.db"')
