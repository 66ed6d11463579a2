"""What becomes of single children in a reload, and of their addresses: scenarios 38 and 39."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import (
    ActorGone,
    ReloadError,
)
from tests.daemon import Daemon
from tests.supervisors.reload_rig import (
    BASE,
    HERE,
    actions,
    agent,
    answer_of,
    pids,
    refused,
    reload,
    session_of,
)


def named(tmp_path: Path, name: str, **keys: Any) -> str:
    return agent("named", "Named", options={"name": name, "lives": tmp_path / "lives"}, **keys)


def test_an_added_child_is_there_and_a_removed_one_is_gone(daemon: Daemon) -> None:
    reload(daemon, BASE + agent("new"))
    assert daemon.ref("new").ask("hello") == "hello"
    assert [each.id for each in daemon.hub.supervision.which_children("agents")] == ["idle", "new"]
    reload(daemon, BASE)
    with pytest.raises(ActorGone, match="removed by a reload"):
        daemon.ref("new").ask("hello")
    reload(daemon, BASE + agent("new"))  # and back at the same address
    assert daemon.ref("new").ask("hello") == "hello"


def test_what_a_reload_has_added_outlives_its_supervisor(daemon: Daemon) -> None:
    reload(daemon, BASE.replace("[agents.idle]", "[agents.new]"))
    daemon.kill("agents")
    assert answer_of(daemon, "new") == "hello"
    assert [each.id for each in daemon.hub.supervision.which_children("agents")] == ["new"]
    daemon.kill("new")
    assert answer_of(daemon, "new") == "hello"


def test_a_child_moves_to_another_supervisor_in_two_reloads(daemon: Daemon) -> None:
    """One that was there from the start, whose address is the root's, and one that was added."""
    team = BASE[: BASE.index("[agents.idle]")] + "\n[supervisors.team]\n"
    names = ("idle", "new")
    reload(daemon, team + "".join(map(agent, names)))
    for name in names:
        assert daemon.ref(name).ask("hello") == "hello"
    reload(daemon, team)
    for name in names:
        with pytest.raises(ActorGone):  # by who answers for it, and is connected for that
            daemon.ref(name).ask("hello")
    reload(daemon, team + "".join(agent(name, parent='"team"') for name in names))
    for name in names:
        assert daemon.ref(name).ask("hello") == "hello"
    for supervisor in ("team", "agents"):
        daemon.kill(supervisor)
        for name in names:
            assert answer_of(daemon, name) == "hello"
    reload(daemon, team)


def test_supervisors_come_and_go_with_their_children(daemon: Daemon) -> None:
    tree = """
[supervisors.team]
parent = "agents"
max_restarts = 7
[supervisors.inner]
parent = "team"
"""
    assert answer_of(daemon, "idle") == "hello"  # its supervisor may have been killed just now
    before = daemon.until(lambda: now if "idle" in (now := pids(daemon)) else None)
    members = agent("lead", parent='"team"') + agent("deep", parent='"inner"')
    done = reload(daemon, BASE + tree + members)
    assert actions(done) == dict.fromkeys(("team", "inner", "lead", "deep"), "add")
    assert daemon.ref("deep").ask("hello") == "hello"
    reload(daemon, BASE + tree + members + agent("later", parent='"inner"'))
    assert daemon.ref("later").ask("hello") == "hello"
    daemon.kill("team")
    assert answer_of(daemon, "later") == "hello"
    reload(daemon, BASE)
    assert pids(daemon) == before


@pytest.fixture
def lives(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: (tmp_path / "lives").read_text().split()


def test_other_options_take_another_life_and_a_bad_one_brings_the_old_back(
    daemon: Daemon, tmp_path: Path, lives: Callable[[], list[str]]
) -> None:
    """Scenario 39a: the init of another life crashes."""
    reload(daemon, BASE + named(tmp_path, "first"))
    done = reload(daemon, BASE + named(tmp_path, "second"))
    assert actions(done) == {"named": "restart"}
    assert daemon.ref("named").ask("who") == "second"
    said = refused(daemon, BASE.replace("1000", "1") + named(tmp_path, "broken"))
    assert "'named' did not start" in said
    assert "the moon is wrong" in said
    assert daemon.ref("named").ask("who") == "second"
    assert lives() == ["first", "second", "broken", "second"]
    status = daemon.child("named")
    assert (status.state, status.restarts) == ("running", 3)


def test_a_crash_loop_after_a_reload_goes_on_until_the_next_reload(
    daemon: Daemon, tmp_path: Path, lives: Callable[[], list[str]]
) -> None:
    """Scenario 39f: nothing brings the old config back but somebody who says so."""
    team = BASE + "\n[supervisors.team]\nmax_restarts = 2\nbackoff = 0.05\n"
    reload(daemon, team + named(tmp_path, "first", parent='"team"'))
    assert reload(daemon, team + named(tmp_path, "mortal", parent='"team"')).is_applied
    daemon.until(lambda: lives().count("mortal") > 4 or None)  # its supervisor gave up, too
    assert lives()[1:] == ["mortal"] * (len(lives()) - 1)

    def mended() -> bool | None:
        try:
            return reload(daemon, team + named(tmp_path, "third", parent='"team"')).is_applied
        except ReloadError:  # its supervisor gave up while it was told
            return None

    daemon.until(mended)
    assert answer_of(daemon, "named") == "third"


def test_a_child_that_an_operator_has_stopped_stays_down(
    daemon: Daemon, tmp_path: Path, lives: Callable[[], list[str]]
) -> None:
    reload(daemon, BASE + named(tmp_path, "first"))
    daemon.hub.supervision.terminate_child("named")
    reload(daemon, BASE + named(tmp_path, "second"))
    assert daemon.child("named").state == "stopped"
    assert lives() == ["first"]
    daemon.hub.supervision.restart_child("named")
    assert daemon.ref("named").ask("who") == "second"


def test_children_that_messages_have_added_are_let_alone(daemon: Daemon) -> None:
    table = {"class": "agents_for_tests:Idle", "python_path": [str(HERE)]}
    pid = daemon.hub.supervision.start_child("dynamic", table).pid
    assert reload(daemon, BASE + agent("new")).is_applied
    assert daemon.child("dynamic").pid == pid
    said = refused(daemon, BASE + agent("dynamic"))
    assert "delete that first" in said
    assert daemon.child("dynamic").pid == pid
    daemon.hub.supervision.terminate_child("dynamic")
    daemon.hub.supervision.delete_child("dynamic")


def test_sessions_outlive_another_life_of_their_actor_and_one_that_fails(daemon: Daemon) -> None:
    """As a swap of their backend does it: drained, started anew, senders wait."""
    hub = daemon.hub
    hub.sessions.put("kept", {"n": 1})  # written behind
    before = daemon.pid("sessions")
    done = reload(daemon, BASE + "\n[actors.sessions]\nnice = 1\n")
    assert actions(done) == {"sessions": "restart"}
    assert daemon.pid("sessions") != before
    assert session_of(daemon, "kept").data == {"n": 1}
    hub.sessions.put("kept", {"n": 2})
    said = refused(daemon, BASE + "\n[actors.sessions]\nmemory_max = 1_000_000\n")
    assert "'sessions' did not start" in said
    assert session_of(daemon, "kept").data == {"n": 2}
    assert hub.sessions.put("kept", {"n": 3}, durability="committed")


def test_a_root_that_is_killed_in_a_reload_starts_as_the_file_says(tmp_path: Path) -> None:
    """Scenario 39c."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with Daemon(tmp_path, BASE) as daemon:
        after = BASE.replace("[agents.idle]", "[agents.other]")
        after += agent("new", "StartsWhenLet", options={"gate": gate})
        daemon.config_file.write_text(after)
        os.kill(daemon.process.pid, signal.SIGHUP)
        daemon.until(lambda: "new" in [each.id for each in _agents(daemon)] or None)
        daemon.kill("root")
        daemon.spawn()
        with open(gate, "w"):
            daemon.wait_ready()
        daemon._abandon_hub()
        assert [each.id for each in _agents(daemon)] == ["other", "new"]
        assert daemon.hub.supervision.reload().counts["unchanged"] > 0
        assert daemon.stop() == 0


def _agents(daemon: Daemon) -> list[Any]:
    return daemon.hub.supervision.which_children("agents")
