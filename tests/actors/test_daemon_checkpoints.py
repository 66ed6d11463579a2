"""Checkpoints of the daemon as a whole: a barrier through who takes part, kept in one piece."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from holdfast.actors.messages import barrier, checkpoints
from holdfast.actors.messages.checkpoints import Created, PartIs, Restored
from holdfast.errors import HoldfastError, InvalidInputError, StorageError
from tests import forkserver
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.daemon import ForkedDaemon as Kit
from tests.lending import lending

ROOT = Path(__file__).resolve().parents[2]
KEEPERS = ("k1", "k2", "k3")


def config_with(table: str = "", keepers: tuple[str, ...] = KEEPERS) -> str:
    text = CONFIG + f"[actors.checkpoints]\ncollect_timeout = 1.0\n{table}\n"
    for name in (*keepers, "bystander"):
        kind = "Bystander" if name == "bystander" else "Keeper"
        text += f"[agents.{name}]\nclass = 'tests.actors.keepers:{kind}'\n"
        text += f"python_path = [{str(ROOT)!r}]\n"
    return text


# Its agents hold what they held before, and checkpoints are there already.
shared, daemon = lending(config_with(), *KEEPERS, "bystander")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, config_with()) as daemon:
        yield daemon


def hold(daemon: Kit, held: Any) -> None:
    for name in KEEPERS:
        daemon.ref(name).ask({"hold": [name, held]}, timeout=TIMEOUT)


def create(daemon: Kit) -> Created:
    return daemon.hub.checkpoints.create_daemon(timeout=TIMEOUT)


def restore(daemon: Kit, id: int, *, dry_run: bool = False, only: tuple[str, ...] = ()) -> Restored:
    return daemon.hub.checkpoints.restore_daemon(id, dry_run=dry_run, only=only, timeout=TIMEOUT)


def held_by(daemon: Kit) -> dict[str, Any]:
    return {name: daemon.ref(name).ask("what", timeout=TIMEOUT) for name in KEEPERS}


def agents_in(made: Created | Restored) -> list[str]:
    return [each.name for each in made.participants if each.name in KEEPERS and not each.error]


def rows(daemon: Kit, sql: str) -> list[tuple[Any, ...]]:
    viewer = apsw.Connection(str(daemon.database), flags=apsw.SQLITE_OPEN_READONLY)
    found = viewer.execute(sql).fetchall()
    viewer.close()
    return found


def test_what_was_held_is_restored_and_a_dry_run_only_says_so(daemon: Daemon) -> None:
    hold(daemon, {"n": 1, "bytes": b"\0", "text": "ä" * 5_000})
    before = held_by(daemon)
    made = create(daemon)
    assert agents_in(made) == [*KEEPERS]
    assert {each.mark for each in made.participants if each.name in KEEPERS} != {0}
    hold(daemon, {"n": 2})
    after = held_by(daemon)
    plan = restore(daemon, made.id, dry_run=True)
    assert (plan.dry_run, agents_in(plan)) == (True, [*KEEPERS])
    assert held_by(daemon) == after
    done = restore(daemon, made.id, only=("k1",))
    assert [(each.name, each.restored) for each in done.participants] == [("k1", 1)]
    assert held_by(daemon) == after | {"k1": before["k1"]}
    restore(daemon, made.id, only=KEEPERS)
    assert held_by(daemon) == before
    with pytest.raises(InvalidInputError, match="nothing of nobody"):
        restore(daemon, made.id, only=("nobody",))
    with pytest.raises(InvalidInputError, match="no checkpoint 999"):
        restore(daemon, 999)


def test_who_does_not_answer_is_named_and_blocks_nobody(own: Daemon) -> None:
    hold(own, 1)
    own.ref("k1").tell("hang")
    own.ref("bystander").tell("hang")  # it has no hook
    own.ref("k2").ask("raise", timeout=TIMEOUT)
    with own.paused("k3"):
        made = create(own)
    errors = {each.name: each.error for each in made.participants if each.name in KEEPERS}
    assert "did not answer within 1.0 s" in errors["k1"]
    assert "set is no JSON type" in errors["k2"]
    assert "did not answer within 1.0 s" in errors["k3"]
    assert "bystander" not in errors
    plan = restore(own, made.id, dry_run=True)
    assert agents_in(plan) == []


def test_actors_that_are_killed_during_the_barrier_leave_it_whole_or_named(daemon: Daemon) -> None:
    hold(daemon, "before")
    for victim in (*KEEPERS, "writer", "checkpoints"):
        asked = daemon.ref("checkpoints").ask(
            checkpoints.Create(), block=False, timeout=TIMEOUT, idempotent=True
        )
        daemon.kill(victim)
        made = asked.get(timeout=TIMEOUT)
        assert isinstance(made, Created)
        in_it = {each.name for each in made.participants}
        assert in_it >= set(KEEPERS)
        daemon.wait_until_running(victim)
    ids = [id for (id,) in rows(daemon, "SELECT id FROM checkpoints WHERE agent = '$daemon'")]
    for id in ids:
        restore(daemon, id, dry_run=True)  # reads and checks all of it


def test_a_daemon_that_is_killed_during_a_checkpoint_keeps_the_one_before(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with(), profile={}) as daemon:
        hold(daemon, "kept")
        first = create(daemon)
        for round in range(2):
            hold(daemon, f"round {round}")
            daemon.ref("checkpoints").ask(checkpoints.Create(), block=False)
            daemon.hub.ref("k1").ask("what", timeout=TIMEOUT)
            daemon.kill("root")
            daemon.restart()
            restore(daemon, first.id, only=KEEPERS)
            assert held_by(daemon) == {name: [name, "kept"] for name in KEEPERS}
            for (id,) in rows(daemon, "SELECT id FROM checkpoints WHERE agent = '$daemon'"):
                restore(daemon, id, dry_run=True)


def test_one_is_made_before_the_daemon_stops(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with(), profile={}) as daemon:
        hold(daemon, "at the end")
        daemon.restart()
        assert "checkpoint 1 of the daemon is kept, stopping now" in daemon.log
        ask = checkpoints.GetPart("k2")
        part = msgspec.convert(daemon.hub.ask("checkpoints", ask, timeout=TIMEOUT), PartIs)
        assert (part.id, json.loads(part.state), part.count) == (1, ["k2", "at the end"], 1)


def test_requests_in_flight_are_handed_back_after_a_stop_and_after_a_death(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with("", ()), profile={}) as daemon:
        daemon.hub.tracker.begin("r1", "llm", {"prompt": "hi"})
        daemon.restart()
        (found,) = daemon.until(daemon.hub.tracker.interrupted)
        assert (found.id, found.payload) == ("r1", {"prompt": "hi"})
        daemon.hub.tracker.cancel("r1")
        daemon.hub.tracker.begin("r2", "llm", {})
        create(daemon)
        daemon.kill("tracker")
        (found,) = daemon.until(daemon.hub.tracker.interrupted)
        assert found.id == "r2"
        daemon.kill("root")
        daemon.restart()
        (found,) = daemon.until(daemon.hub.tracker.interrupted)
        assert found.id == "r2"


def test_a_tracker_that_has_not_resumed_does_not_say_that_it_holds_nothing(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with("", ()), profile={}) as daemon:
        daemon.hub.tracker.begin("r1", "llm", {})
        create(daemon)
        with daemon.paused("checkpoints"):
            pid = daemon.kill("tracker")
            daemon.wait_until_running("tracker", after=pid)
            asked = daemon.ref("tracker").ask(barrier.Collect("x"), block=False, timeout=TIMEOUT)
        collected = asked.get(timeout=TIMEOUT)
        assert isinstance(collected, barrier.Collected)
        assert collected.count == 1


def test_sessions_are_restored_with_the_daemon(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with("", ()), profile={}) as daemon:
        daemon.hub.sessions.put("s1", {"user": "ana"})
        made = create(daemon)
        names = [each.name for each in made.participants if not each.error]
        assert names == ["sessions", "tracker"]
        daemon.hub.sessions.delete("s1")
        restore(daemon, made.id, only=("sessions",))
        found = daemon.hub.sessions.get("s1")
        assert found is not None
        assert found.data == {"user": "ana"}


def test_the_stop_goes_on_without_a_checkpoint_and_says_so(tmp_path: Path) -> None:
    table = "on_stop = true"
    with Kit(tmp_path, config_with(table, ()), profile={}) as daemon:
        with daemon.paused("checkpoints"):
            daemon.process.terminate()
            daemon.until(lambda: "stopping without a checkpoint" in daemon.log or None)
        assert daemon.process.wait(TIMEOUT) == 0


def test_none_is_made_where_it_is_switched_off(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with("on_stop = false", ()), profile={}) as daemon:
        daemon.stop()
        assert rows(daemon, "SELECT * FROM checkpoints") == []


def test_a_second_signal_does_not_wait_for_the_checkpoint(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with("", ()), profile={}) as daemon, daemon.paused("checkpoints"):
        daemon.process.terminate()
        daemon.until(lambda: "" == "" or None)
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(5.0) in (130, 143)


def test_they_are_made_periodically_and_old_ones_go(tmp_path: Path) -> None:
    with Kit(tmp_path, config_with("interval = 0.1\nkeep = 2", ("k1",)), profile={}) as daemon:
        sql = "SELECT id FROM checkpoints WHERE agent = '$daemon' ORDER BY id"

        def several() -> list[int]:
            return [id for (id,) in rows(daemon, sql)]

        daemon.until(lambda: max(several(), default=0) >= 5 or None)
        assert len(several()) <= 3  # the next one may be there before the oldest has gone
        assert min(several()) > 1


def test_a_checkpoint_that_is_damaged_or_claims_too_much_is_refused(tmp_path: Path) -> None:
    """Scenario D11."""
    with Kit(tmp_path, config_with(), profile={}) as daemon:
        hold(daemon, "ä" * 5_000)
        damaged, ahead = create(daemon), create(daemon)
        daemon.kill("root")
        database = apsw.Connection(str(daemon.database))
        ((state,),) = database.execute(
            "SELECT state FROM checkpoints WHERE agent = '$daemon' AND id = ?", (ahead.id,)
        ).fetchall()
        manifest = json.loads(str(state))["$manifest"]
        manifest["participants"][0][2] = 10_000  # its mark
        database.execute(
            "UPDATE checkpoints SET state = json_set(state, '$.\"$manifest\"', json(?))"
            " WHERE agent = '$daemon' AND id = ?",
            (json.dumps(manifest), ahead.id),
        )
        database.close()
        daemon.restart()
        with pytest.raises(StorageError, match="claims events up to number 10000"):
            restore(daemon, ahead.id)
        restore(daemon, damaged.id, dry_run=True)
        daemon.kill("root")
        database = apsw.Connection(str(daemon.database))
        database.execute("UPDATE checkpoint_data SET codec = 0")
        database.close()
        daemon.restart()
        with pytest.raises(StorageError, match="damaged"):
            restore(daemon, damaged.id, dry_run=True)


def test_an_agent_that_was_deleted_is_not_missed(daemon: Daemon) -> None:
    supervision = daemon.hub.supervision
    table = {"class": "tests.actors.keepers:Keeper", "python_path": [str(ROOT)]}
    supervision.start_child("added", table)
    assert "added" in [each.name for each in create(daemon).participants]
    supervision.terminate_child("added")
    supervision.delete_child("added")
    create(daemon)
    assert "added" not in [each.name for each in create(daemon).participants]


# -- the command line ---------------------------------------------------------------------------


def holdfast(daemon: Daemon, *arguments: str, code: int = 0) -> list[Any]:
    done = forkserver.run(
        "holdfast",
        *("checkpoints", *arguments, "--json"),
        folder=daemon.folder,
        environment=os.environ | {"HOLDFAST_RUN_DIR": str(daemon.run_dir)},
        stdin="",
        timeout=TIMEOUT,
    )
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_command_makes_shows_restores_and_prunes(own: Daemon) -> None:
    hold(own, 1)
    (made,) = holdfast(own, "create")
    assert [each["name"] for each in made["participants"] if each["name"] in KEEPERS] == [*KEEPERS]
    holdfast(own, "create")
    listed = holdfast(own, "list")
    assert [each["id"] for each in listed] == [2, 1]
    (shown,) = holdfast(own, "show", "1")
    assert shown["state"]["k1"] == ["k1", 1]
    hold(own, 2)
    (plan,) = holdfast(own, "restore", "1", "--dry-run")
    assert plan["dry_run"] is True
    assert held_by(own)["k1"] == ["k1", 2]
    holdfast(own, "restore", "1", "--only", "k1")
    assert held_by(own)["k1"] == ["k1", 1]
    holdfast(own, "restore", "7", code=2)
    holdfast(own, "pin", "1", "release")
    (pruned,) = holdfast(own, "prune", "--keep-last", "1")
    assert pruned["checkpoints"] == {}
    holdfast(own, "unpin", "release")
    (pruned,) = holdfast(own, "prune", "--keep-last", "1")
    assert pruned["checkpoints"] == {"the daemon": [1]}
    holdfast(own, "unpin", "release", code=1)


def test_the_command_looks_after_threads_of_agents(daemon: Daemon) -> None:
    for n in range(3):
        daemon.hub.checkpoints.put("t", {"n": n})
    assert holdfast(daemon, "threads") == [{"thread": "t"}]
    assert [each["id"] for each in holdfast(daemon, "list", "--thread", "t")] == [3, 2, 1]
    (shown,) = holdfast(daemon, "show", "--thread", "t")
    assert shown["state"] == {"n": 2}
    holdfast(daemon, "fork", "2", "u", "--thread", "t")
    (pruned,) = holdfast(daemon, "prune", "--all-threads", "--keep-last", "1")
    assert pruned["checkpoints"] == {"t": [1, 2]}
    holdfast(daemon, "show", "1", "--thread", "t", code=1)


def test_an_error_of_the_actor_is_the_callers(daemon: Daemon) -> None:
    with pytest.raises(HoldfastError):
        restore(daemon, 999)
