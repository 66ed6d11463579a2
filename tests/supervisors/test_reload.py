"""Reload of a daemon that runs, as a whole: scenarios 38 and 39."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

import msgspec
import pytest

import holdfast
from holdfast.actors.messages import sessions, writer
from holdfast.errors import (
    AskTimeoutError,
    CapacityError,
    ConfigError,
    ReloadError,
)
from tests.daemon import Daemon
from tests.supervisors.reload_rig import (
    BASE,
    HERE,
    Load,
    actions,
    agent,
    outcome,
    pids,
    refused,
    reload,
    ring_of,
    session_of,
)

LIMITS: Final = """
handler_timeout = 5.0
mailbox_limit = 77
shutdown = 3.0
[storage]
sync_interval = 0.5
payload_bytes = 2_000
[retention]
max_age = 1_000_000.0
[actors.query]
statement_timeout = 3.0
[actors.log]
capacity = 77
sync_at = 50
mailbox_limit = 5_000
[actors.sessions]
maxsize = 77
max_bytes = 7_700_000
ttl = 77.0
[actors.checkpoints]
interval = 0.2
[actors.files]
max_bytes = 7_700_000
[actors.tracker]
max_requests = 1
[actors.tracker.limits]
calls = { kind = "token_bucket", rate = 1.0, burst = 7 }
"""


def test_policy_and_limits_reach_running_processes_and_restart_nothing(daemon: Daemon) -> None:
    """Scenario 38."""
    before, hub = pids(daemon), daemon.hub
    policy = BASE.replace("max_restarts = 1000", "max_restarts = 500\nstrategy = 'rest_for_one'")
    done = reload(
        daemon,
        policy.replace('"test"', '"test"\nlog_level = "DEBUG"\nlog_max_bytes = 100_000') + LIMITS,
    )
    assert set(actions(done).values()) == {"in place"}
    assert pids(daemon) == before
    assert ring_of(daemon).capacity == 77
    assert msgspec.convert(hub.ask("writer", writer.Stats()), writer.WriterStats).rules == 1
    stats = msgspec.convert(hub.ask("sessions", sessions.Stats()), sessions.SessionsStats)
    assert (stats.maxsize, stats.max_bytes) == (77, 7_700_000)
    hub.sessions.put("s", {})
    assert session_of(daemon, "s").ttl == 77.0
    assert hub.files.stats().max_bytes == 7_700_000
    assert hub.tracker.acquire("calls", timeout=20.0).granted
    hub.tracker.begin("a", kind="x")
    with pytest.raises(CapacityError):
        hub.tracker.begin("b", kind="x")
    hub.tracker.finish("a")
    hub.events.query(limit=1)  # of another connection
    made = len(hub.checkpoints.list_daemon())
    daemon.until(lambda: len(hub.checkpoints.list_daemon()) > made or None)
    assert all(status.restarts == 0 for status in hub.supervision.which_children("state"))


def test_other_limits_of_restarts_and_of_signs_of_life_count_at_once(daemon: Daemon) -> None:
    before = pids(daemon)
    beats = "heartbeat_interval = 0.1\nheartbeat_timeout = 0.4\n"
    reload(daemon, BASE.replace("[supervisors.agents]\n", f"[supervisors.agents]\n{beats}"))
    os.kill(before["idle"], signal.SIGSTOP)

    def hung() -> bool | None:
        last = daemon.child("idle").last_exit
        return (last is not None and last.kind == "hang") or None

    daemon.until(hung, 9.0)  # it was 10 s before
    daemon.wait_until_running("idle", after=before["idle"])
    assert daemon.pid("agents") == before["agents"]
    reload(daemon, BASE.replace("1000\nbackoff", "0\nbackoff"))
    daemon.kill("idle")
    daemon.wait_until_running("agents", after=before["agents"])  # it gave up
    daemon.until(lambda: daemon.pid("idle"))


def test_a_reload_under_load_loses_nothing_and_keeps_all_others(daemon: Daemon) -> None:
    """Scenario 38: children come, go and are changed while 1,000 events/s are emitted."""
    gone = BASE.replace("[agents.idle]", "[agents.other]")
    before = pids(daemon)
    with Load(daemon, "load") as load:
        daemon.until(lambda: load.count > 200 or None)
        done = reload(daemon, gone + agent("third"))
        assert actions(done) == {"idle": "remove", "other": "add", "third": "add"}
        assert reload(daemon, BASE.replace("1000", "999")).is_applied
        more = load.count + 200
        daemon.until(lambda: load.count > more or None)
    after = pids(daemon)
    assert {name: after[name] for name in before if name != "idle"} == {
        name: pid for name, pid in before.items() if name != "idle"
    }
    assert load.stored(daemon) == list(range(load.count))


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        (agent("new", "FailsToStart", options={"when": HERE}), "the moon is wrong"),
        (
            agent("new", "StartsWhenLet", options={"gate": "gate"}, start_timeout=1.5),
            "start_timeout",
        ),
        (agent("new", "Missing"), "has no attribute 'Missing'"),
        (agent("new").replace("agents_for_tests", "nowhere"), "there is no 'nowhere'"),
        (agent("new", "Named", options={"no": "such"}), "unexpected keyword argument 'no'"),
    ],
    ids=["init crash", "start timeout", "no class", "no module", "wrong options"],
)
def test_what_fails_leaves_everything_as_it_was(daemon: Daemon, table: str, cause: str) -> None:
    """Scenario 39a."""
    gate = daemon.folder / "gate"
    if not gate.exists():
        os.mkfifo(gate)
    before = pids(daemon)
    removed = BASE.replace("[agents.idle]", "[agents.other]").replace("1000", "1")
    with Load(daemon, cause) as load:
        daemon.until(lambda: load.count > 50 or None)
        said = refused(daemon, removed + agent("good") + table + "[actors.log]\ncapacity = 7\n")
        assert cause in said
        more = load.count + 50
        daemon.until(lambda: load.count > more or None)
    assert pids(daemon) == before
    assert daemon.ref("idle").ask("hello") == "hello"
    assert ring_of(daemon).capacity == 10_000
    assert load.stored(daemon) == list(range(load.count))
    if cause == "start_timeout":  # with the old limits of restarts, which allow more than one
        for name in ("query", "files"):
            daemon.kill(name)
            daemon.wait_until_running(name, after=before[name])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[daemon", "not TOML"),
        (BASE + "\n[agents.idle]\nclass = 'a:B'\n", "not TOML"),  # twice
        (BASE + "\n[supervisors.idle]\n", "another name"),
        (BASE.replace("python_path", "python_paht"), "python_paht"),
        (BASE + "\noptions = { key = 'env:HOLDFAST_NOT_SET' }\n", "HOLDFAST_NOT_SET"),
        (BASE.replace('"test"', '"other"'), "stop the daemon"),
        (BASE + "\nparent = 'root'\n", "reload without it"),
        (BASE + "\n[actors.files]\npath = 'other'\n", "stop the daemon, move the folder"),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_touched(
    daemon: Daemon, text: str, cause: str
) -> None:
    """Scenario 39d."""
    before = pids(daemon)
    assert cause in refused(daemon, text)
    assert pids(daemon) == before


def test_a_file_that_is_not_there_is_refused(daemon: Daemon) -> None:
    daemon.config_file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        daemon.hub.supervision.reload()
    os.mkfifo(daemon.config_file)
    try:
        with pytest.raises(ConfigError, match="no file"):
            daemon.hub.supervision.reload()
    finally:
        daemon.config_file.unlink()


def test_a_second_reload_is_refused_and_the_first_outlives_its_client(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Scenario 39e."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    daemon.config_file.write_text(BASE + agent("new", "StartsWhenLet", options={"gate": gate}))
    with daemon.watching("holdfast:reload") as events:
        with holdfast.connect(daemon.run_dir) as hub, pytest.raises(AskTimeoutError):
            hub.supervision.reload(timeout=0.5)
        with pytest.raises(ReloadError, match="busy") as caught:
            daemon.hub.supervision.reload()
        assert caught.value.reason == "busy"
        assert daemon.tree().root.state == "running"  # it answers meanwhile
        with open(gate, "w"):
            pass
        # That of a test before this one may come late, too.
        data = events.next(where=lambda event: event.data.get("add") == 1).data
    assert data["ok"]
    assert data["trigger"] == "command"
    assert daemon.ref("new").ask("hello") == "hello"


def test_sighup_reloads(daemon: Daemon) -> None:
    with daemon.watching("holdfast:reload") as events:
        daemon.config_file.write_text(BASE + agent("new"))
        os.kill(daemon.process.pid, signal.SIGHUP)
        data = outcome(events, "signal")
        assert (data["ok"], data["trigger"], data["add"]) == (True, "signal", 1)
        assert daemon.ref("new").ask("hello") == "hello"
        daemon.config_file.write_text("[daemon")
        os.kill(daemon.process.pid, signal.SIGHUP)
        data = outcome(events, "signal")
        assert (data["ok"], data["trigger"], data["reason"]) == (False, "signal", "config")
        assert "not TOML" in data["error"]
    assert daemon.ref("new").ask("hello") == "hello"


def test_a_watched_file_is_reloaded_once_it_stands_still(daemon: Daemon) -> None:
    watched = BASE.replace('"test"', '"test"\nwatch = true')
    reload(daemon, watched)
    with daemon.watching("holdfast:reload") as events:
        daemon.config_file.write_text("[daemon")
        data = outcome(events, "watch")
        assert (data["ok"], data["trigger"]) == (False, "watch")
        with pytest.raises(AssertionError):  # two looks later: told once
            events.next(where=lambda event: event.data["trigger"] == "watch", timeout=2.2)
        draft = daemon.config_file.with_suffix(".new")
        draft.write_text(watched + agent("new"))
        draft.rename(daemon.config_file)
        data = outcome(events, "watch")
        assert (data["ok"], data["trigger"], data["add"]) == (True, "watch", 1)
    assert daemon.ref("new").ask("hello") == "hello"


def test_an_edit_of_a_watched_file_while_a_reload_is_under_way_waits_for_its_turn(
    daemon: Daemon, tmp_path: Path
) -> None:
    watched = BASE.replace('"test"', '"test"\nwatch = true')
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    reload(daemon, watched)
    slow = watched + agent("slow", "StartsWhenLet", options={"gate": gate})
    with daemon.watching("holdfast:reload") as events:
        daemon.config_file.write_text(slow)
        daemon.until(lambda: any(each.id == "slow" for each in daemon.child("agents").children))
        daemon.config_file.write_text(slow + agent("new"))
        with pytest.raises(AssertionError):  # two looks later it still waits
            events.next(where=lambda event: event.data["trigger"] == "watch", timeout=2.2)
        with open(gate, "w"):
            pass
        assert outcome(events, "watch")["ok"]
        data = outcome(events, "watch")
        assert (data["ok"], data["add"]) == (True, 1)
    assert daemon.ref("new").ask("hello") == "hello"


def test_a_dry_run_checks_everything_and_does_nothing(daemon: Daemon) -> None:
    before = pids(daemon)
    plan = reload(daemon, BASE.replace("1000", "9") + agent("new"), dry_run=True)
    assert (plan.is_applied, actions(plan)["new"]) == (False, "add")
    assert pids(daemon) == before
    plan = reload(daemon, BASE.replace('"test"', '"other"'), dry_run=True)
    assert "stop the daemon" in plan.refusals[0]
    daemon.config_file.write_text(BASE + agent("new", "Missing"))
    with pytest.raises(ConfigError, match="cannot be imported"):
        daemon.hub.supervision.reload(dry_run=True)
