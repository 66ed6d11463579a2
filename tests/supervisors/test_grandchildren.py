"""Programs that agents start: they go with the life that started them, and nobody else's do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from holdfast.testing.processes import descendants
from tests.supervisors.agents_with_programs import WAYS
from tests.supervisors.conftest import Grow
from tests.supervisors.specs import agent, kill, starts
from tests.supervisors.trees import SmallTree, child, nested, wait_for_end


def programs_of(tree: SmallTree, name: str) -> dict[str, int]:
    """The programs of an agent's present life, by the way it started them."""
    pids: dict[str, int] = tree.ask("pids", name)
    return pids


@pytest.mark.parametrize("victim", ["a", "zygote:below", "below", "zygote:root"])
def test_what_a_life_started_is_gone_when_the_next_begins(grow: Grow, victim: str) -> None:
    # Scenario 25: grandchildren
    tree = grow(nested("below", starts("a", *WAYS), child("b"))).ready()
    watches = tree.watch(*programs_of(tree, "a").values())
    assert not any(wait_for_end(watch, 0) for watch in watches)
    kill(tree, victim)
    tree.expect("^a is ready")
    assert [
        way for way, watch in zip(WAYS, watches, strict=True) if not wait_for_end(watch, 0)
    ] == []
    assert tree.end() == 0


def test_every_way_to_get_away_is_known_by_itself(grow: Grow) -> None:
    agents = [starts(f"a-{number}", way) for number, way in enumerate(WAYS)]
    tree = grow(nested("below", *agents, max_restarts=1_000)).ready()
    for number, way in enumerate(WAYS):
        (watch,) = tree.watch(programs_of(tree, f"a-{number}")[way])
        kill(tree, f"a-{number}")
        tree.expect(f"^a-{number} is ready")
        assert wait_for_end(watch, 0), way
    watches = tree.watch(
        *(programs_of(tree, f"a-{number}")[way] for number, way in enumerate(WAYS))
    )
    kill(tree, "below")
    tree.expect("^below is ready")
    left = [way for way, watch in zip(WAYS, watches, strict=True) if not wait_for_end(watch, 0)]
    assert left == []
    assert tree.end() == 0


def test_no_life_ever_sees_a_program_of_the_last(grow: Grow, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    sees = agent("a", "agents_with_programs:SeesTheLast", seen=str(seen))
    tree = grow(sees, max_restarts=1_000, stable_after=0.0).ready()
    for _ in range(20):
        kill(tree, "a")
        tree.expect("^a is ready")
    assert tree.count("still there") == 0
    assert len(seen.read_text().split()) == 21
    assert tree.end() == 0


def test_programs_started_a_moment_before_a_death_go_too(grow: Grow) -> None:
    ways = ("as_child", "in_its_own_session", "double_forked", "below_a_shell")
    endless = {"max_restarts": 1_000, "stable_after": 0.0}
    tree = grow(agent("a", "agents_with_programs:StartsAndDies", ways=list(ways)), **endless)
    tree.ready()
    family = len(descendants(tree.process.pid))
    for _ in range(20):
        with pytest.raises(AssertionError):
            tree.ask("start and die", "a")
        tree.expect("^a is ready")
        tree.until(lambda: len(descendants(tree.process.pid)) == family)
    assert tree.end() == 0


def test_the_programs_of_others_are_let_alone(grow: Grow) -> None:
    below = nested("below", starts("b", *WAYS), starts("b2", *WAYS))
    tree = grow(starts("a", *WAYS), below, starts("c", *WAYS)).ready()
    programs = [pid for name in ("a", "b2", "c") for pid in programs_of(tree, name).values()]
    watches = tree.watch(*programs)
    kill(tree, "b")
    tree.expect("^b is ready")
    kill(tree, "below")
    tree.expect("^below is ready")
    of_others = watches[: len(WAYS)] + watches[2 * len(WAYS) :]
    assert not any(wait_for_end(watch, 0) for watch in of_others)
    assert tree.end() == 0
    assert all(wait_for_end(watch, 0) for watch in watches)


def test_a_program_that_opts_out_stays_until_the_daemon_ends(grow: Grow) -> None:
    """It may be a server that the next life wants to find."""
    tree = grow(nested("below", starts("a", "opted_out"))).ready()
    (watch,) = tree.watch(*programs_of(tree, "a").values())
    for victim in ("a", "zygote:below", "below", "zygote:root"):
        kill(tree, victim)
        tree.expect("^a is ready")
    assert not wait_for_end(watch, 0)
    assert tree.end() == 0
    assert wait_for_end(watch, 0)


def test_what_an_agent_starts_is_told_whose_it_is_and_where_its_daemon_is(grow: Grow) -> None:
    tree = grow(nested("below", starts("a"))).ready()
    kill(tree, "a")
    tree.expect("^a is ready")
    environ = tree.ask("environment", "a")
    assert environ["HOLDFAST_ACTOR"] == "a"
    assert environ["HOLDFAST_RUN_DIR"] == str(tree.run_dir)
    token, *lives = environ["HOLDFAST_LIFE"].split("/")
    assert len(token) == 32
    assert lives == ["below.1", "a.2"]
    assert tree.end() == 0
    tree.respawn().ready()
    assert tree.ask("environment", "a")["HOLDFAST_LIFE"].split("/")[0] != token


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_terminal_or_timeout_sends_reaches_the_root_only(grow: Grow, number: int) -> None:
    # Scenario 22: the children, and what they have started, are in no group of the root's
    tree = grow(child("a"), nested("below", starts("b", *WAYS)), child("c")).ready()
    os.killpg(tree.process.pid, number)
    assert tree.outcome() == 0
    stopped = [line for line in tree.said if "stop" in line or "dead" in line]
    assert stopped == [f"{name} is stopped" for name in ("c", "b", "below", "a")]


def test_each_child_leads_a_group_in_a_session_of_the_trees_own(grow: Grow) -> None:
    tree = grow(child("a"), nested("below", child("b"))).ready()
    for _ in range(2):
        pids = tree.pids()
        assert {os.getsid(pids[name]) for name in ("zygote:root", "a", "below", "b")} == {
            pids["zygote:root"]
        }
        assert all(os.getpgid(pids[name]) == pids[name] for name in ("a", "below", "b"))
        assert os.getsid(tree.process.pid) == os.getsid(0)
        kill(tree, "zygote:root")
        tree.expect("^below is ready")
    assert tree.end() == 0
