"""Reload of a daemon that runs: scenarios 38 and 39."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, Final

import msgspec
import pytest

import holdfast
from holdfast.actors.messages import log, sessions, writer
from holdfast.actors.messages.reload import Reloaded
from holdfast.errors import (
    ActorDied,
    ActorGone,
    AskTimeoutError,
    CapacityError,
    ConfigError,
    ReloadError,
)
from holdfast.testing.events import Events
from tests.daemon import Daemon

HERE: Final = Path(__file__).parent
BASE: Final = f"""
[daemon]
name = "test"
[supervisors.root]
max_restarts = 1000
[supervisors.state]
max_restarts = 1000
[supervisors.agents]
max_restarts = 1000
backoff = 0.05
[agents.idle]
class = "agents_for_tests:Idle"
python_path = ["{HERE}"]
"""


def agent(name: str, class_: str = "Idle", **keys: Any) -> str:
    """A table of another agent."""
    lines = [f"[agents.{name}]", f'class = "agents_for_tests:{class_}"']
    lines.append(f'python_path = ["{HERE}"]')
    for key, value in keys.items():
        if isinstance(value, dict):
            inner = ", ".join(f'{option} = "{text}"' for option, text in value.items())
            lines.append(f"{key} = {{ {inner} }}")
        else:
            lines.append(f"{key} = {value}")
    return "\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("reload"), BASE) as daemon:
        yield daemon


@pytest.fixture
def daemon(one: Daemon) -> Iterator[Daemon]:
    """As the config above has it, before and after."""
    yield one
    one.config_file.write_text(BASE)
    one.hub.supervision.reload()


def reload(daemon: Daemon, text: str, *, dry_run: bool = False) -> Reloaded:
    daemon.config_file.write_text(text)
    done: Reloaded = daemon.hub.supervision.reload(dry_run=dry_run, timeout=30.0)
    return done


def refused(daemon: Daemon, text: str) -> str:
    """What the error says of a reload that has to fail."""
    with pytest.raises((ConfigError, ReloadError)) as caught:
        reload(daemon, text)
    return str(caught.value)


def pids(daemon: Daemon) -> dict[str, int]:
    """Of all that is below the root, and the root."""
    found: dict[str, int] = {}
    waiting = [daemon.tree().root]
    while waiting:
        child = waiting.pop()
        assert child.pid is not None
        found[child.id] = child.pid
        waiting += child.children
    return found


def _ring(daemon: Daemon) -> log.LogStats:
    return msgspec.convert(daemon.hub.ask("log", log.Stats()), log.LogStats)


def _session(daemon: Daemon, id: str) -> Any:
    session = daemon.hub.sessions.get(id)
    assert session is not None
    return session


def actions(done: Reloaded) -> dict[str, str]:
    """What is done to whom, but for those to whom nothing is."""
    return {line.name: line.action for line in done.lines if line.action != "unchanged"}


class Load:
    """Emits numbered events, 1,000 a second, until it is left."""

    def __init__(self, daemon: Daemon, session: str) -> None:
        self._hub = holdfast.connect(daemon.run_dir)
        self._session = session
        self._enough = Flag()
        self._thread = Thread(target=self._run)
        self.count = 0

    def _run(self) -> None:
        while not self._enough.wait(0.01):
            for _ in range(10):
                self._hub.events.emit("load", {"n": self.count}, session=self._session)
                self.count += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()
        self._hub.flush()
        self._hub.close()

    def stored(self, daemon: Daemon) -> list[int]:
        """The numbers in the order in which they are in the database."""
        found = daemon.hub.events.query(session=self._session, limit=100_000)
        return [event.data["n"] for event in found]


def test_policy_and_limits_reach_running_processes_and_restart_nothing(daemon: Daemon) -> None:
    """Scenario 38."""
    before, hub = pids(daemon), daemon.hub
    policy = BASE.replace("max_restarts = 1000", "max_restarts = 500\nstrategy = 'rest_for_one'")
    done = reload(
        daemon,
        policy.replace('"test"', '"test"\nlog_level = "DEBUG"\nlog_max_bytes = 100_000')
        + """
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
interval = 100.0
[actors.files]
max_bytes = 7_700_000
[actors.tracker]
max_requests = 1
[actors.tracker.limits]
calls = { kind = "token_bucket", rate = 1.0, burst = 7 }
""",
    )
    assert set(actions(done).values()) == {"in place"}
    assert pids(daemon) == before
    assert _ring(daemon).capacity == 77
    assert msgspec.convert(hub.ask("writer", writer.Stats()), writer.WriterStats).rules == 1
    stats = msgspec.convert(hub.ask("sessions", sessions.Stats()), sessions.SessionsStats)
    assert (stats.maxsize, stats.max_bytes) == (77, 7_700_000)
    hub.sessions.put("s", {})
    assert _session(daemon, "s").ttl == 77.0
    assert hub.files.stats().max_bytes == 7_700_000
    assert hub.tracker.acquire("calls", timeout=1.0).granted
    hub.tracker.begin("a", kind="x")
    with pytest.raises(CapacityError):
        hub.tracker.begin("b", kind="x")
    hub.tracker.finish("a")
    hub.events.query(limit=1)  # of another connection
    assert all(status.restarts == 0 for status in hub.supervision.which_children("state"))


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
    team = BASE + "\n[supervisors.team]\n"
    reload(daemon, team + agent("new"))
    assert daemon.ref("new").ask("hello") == "hello"
    reload(daemon, team)
    with pytest.raises(ActorGone):  # by who answers for it, and is connected for that
        daemon.ref("new").ask("hello")
    reload(daemon, team + agent("new", parent='"team"'))
    assert daemon.ref("new").ask("hello") == "hello"
    for supervisor in ("agents", "team"):
        daemon.kill(supervisor)
        assert answer_of(daemon, "new") == "hello"


def test_supervisors_come_and_go_with_their_children(daemon: Daemon) -> None:
    tree = """
[supervisors.team]
parent = "agents"
max_restarts = 7
[supervisors.inner]
parent = "team"
"""
    before = pids(daemon)
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


def outcome(events: Events, trigger: str) -> dict[str, Any]:
    """The next one of those that were begun like this."""
    data: dict[str, Any] = events.next(where=lambda event: event.data["trigger"] == trigger).data
    return data


def answer_of(daemon: Daemon, name: str) -> str:
    """Of a life after one that has died, perhaps with the first question in hand."""

    def answered() -> str | None:
        try:
            return str(daemon.ref(name).ask("hello", timeout=10.0))
        except ActorGone:
            raise
        except ActorDied:
            return None

    return daemon.until(answered)


def named(tmp_path: Path, name: str, **keys: Any) -> str:
    return agent("named", "Named", options={"name": name, "lives": tmp_path / "lives"}, **keys)


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


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        (agent("new", "FailsToStart", options={"when": HERE}), "the moon is wrong"),
        (
            agent("new", "StartsWhenLet", options={"gate": "gate"}, start_timeout=0.3),
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
    assert _ring(daemon).capacity == 10_000
    assert load.stored(daemon) == list(range(load.count))
    for name in before:  # with the old limits, not one restart only
        if name in ("query", "files"):
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
        (BASE + "\nparent = 'root'\n", "stop the daemon"),
        (BASE + "\n[storage]\npath = 'other.db'\n", "stop the daemon, move the file"),
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
        data = outcome(events, "command")
    assert (data["ok"], data["add"]) == (True, 1)
    assert daemon.ref("new").ask("hello") == "hello"


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
    assert _session(daemon, "kept").data == {"n": 1}
    hub.sessions.put("kept", {"n": 2})
    said = refused(daemon, BASE + "\n[actors.sessions]\nmemory_max = 1_000_000\n")
    assert "'sessions' did not start" in said
    assert _session(daemon, "kept").data == {"n": 2}
    assert hub.sessions.put("kept", {"n": 3}, durability="committed")


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
        data = outcome(events, "watch")  # told once: the next is of the next edit
        assert (data["ok"], data["trigger"]) == (False, "watch")
        draft = daemon.config_file.with_suffix(".new")
        draft.write_text(watched + agent("new"))
        draft.rename(daemon.config_file)
        data = outcome(events, "watch")
        assert (data["ok"], data["trigger"], data["add"]) == (True, "watch", 1)
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
