"""Specs: checked when they are built, and what the config makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.errors import ConfigError
from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.plan import environment_of, root_spec
from holdfast.supervisors.settings import ACTORS
from holdfast.supervisors.spec import ChildSpec, SupervisorSpec
from tests.supervisors.trees import child, nested


def below(spec: SupervisorSpec, name: str) -> SupervisorSpec:
    (found,) = [child.run for child in spec.children if child.id == name]
    assert isinstance(found, SupervisorSpec)
    return found


def names(spec: SupervisorSpec) -> list[str]:
    return [child.id for child in spec.children]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"max_restarts": -1}, "max_restarts = -1: expected a number >= 0"),
        ({"max_seconds": 0.0}, "max_seconds = 0.0: expected seconds > 0"),
        ({"backoff": -0.1}, "backoff = -0.1: expected seconds >= 0"),
        ({"backoff_factor": 0.9}, "backoff_factor = 0.9: expected a factor >= 1"),
        ({"backoff_max": 0.01}, "backoff_max = 0.01: expected seconds >= backoff = 0.1"),
        ({"backoff_jitter": 2.0}, "backoff_jitter = 2.0: expected a fraction, 0 to 1"),
        ({"stable_after": -1.0}, "stable_after = -1.0: expected seconds >= 0"),
    ],
)
def test_a_supervisor_spec_that_makes_no_sense_is_refused(
    policy: dict[str, float], said: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{said}$"):
        SupervisorSpec(**policy)  # type: ignore[arg-type]  # keyword by keyword in the table above


def test_a_child_spec_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^a: shutdown = -1.0: expected seconds >= 0$"):
        child("a", shutdown=-1.0)
    with pytest.raises(ConfigError, match=r"^a: start_timeout = 0.0: expected seconds > 0$"):
        child("a", start_timeout=0.0)


def test_two_children_of_one_name_are_refused_at_any_depth() -> None:
    with pytest.raises(ConfigError, match="two children are called 'a'"):
        SupervisorSpec(children=(child("a"), nested("b", child("a"))))


def test_more_descendants_than_one_message_can_carry_are_refused() -> None:
    many = [child(f"a{number}") for number in range(241)]
    with pytest.raises(ConfigError, match="241 children below one supervisor: at most 240"):
        SupervisorSpec(children=tuple(many))


def test_a_nested_supervisor_may_take_as_long_as_its_children_one_after_the_other() -> None:
    spec = nested("s", child("a", shutdown=2.0, start_timeout=3.0), child("b", shutdown=1.5))
    assert (spec.shutdown, spec.start_timeout) == (4.5, 34.0)


def test_the_default_tree() -> None:
    root = root_spec(parse_settings("", file="x"))
    assert names(root) == ["state", "agents"]
    assert names(below(root, "state")) == list(ACTORS)
    assert names(below(root, "agents")) == []
    assert root.height == 2


def test_actors_start_before_supervisors_and_agents_last() -> None:
    text = '[actors.log]\nparent = "root"\n[agents.a]\nclass = "json:X"\nparent = "root"\n'
    root = root_spec(parse_settings(text, file="x"))
    assert names(root) == ["log", "state", "agents", "a"]


def test_a_child_has_the_policy_of_its_table() -> None:
    text = (
        '[agents.a]\nclass = "json:X"\nrestart = "transient"\nshutdown = 1.0\nstart_timeout = 2.0\n'
    )
    agents = below(root_spec(parse_settings(text, file="my.toml")), "agents")
    (agent,) = agents.children
    assert isinstance(agent, ChildSpec)
    assert (agent.restart, agent.shutdown, agent.start_timeout) == ("transient", 1.0, 2.0)
    assert agent.where == "[agents.a] in my.toml"


def test_the_database_lies_in_the_data_directory() -> None:
    settings = parse_settings('[storage]\npath = "events.db"\n', file="x")
    environment = environment_of(settings, data_dir=Path("/d"), run_dir=Path("/r"))
    assert environment.database == "/d/events.db"
