"""Real daemons on the other backends: every concern, kills, restarts, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import Conflict
from holdfast.supervisors.memory_folder import memory_folder
from tests import forkserver
from tests.conformance.servers import PostgresqlServer
from tests.daemon import CONFIG, TIMEOUT, Daemon

ROOT = Path(__file__).resolve().parents[2]


def config_of(dsn: str, daemon: str = "test") -> str:
    config = CONFIG.replace('name = "test"', f'name = "{daemon}"')
    return f'{config}[storage]\nbackend = "postgresql"\ndsn = "{dsn}"\npayload_bytes = 100\n'


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command of holdfast here; its exit code and all that it says."""

    def tell(*arguments: str) -> tuple[int, str]:
        with (tmp_path / "told").open("w+b") as output:
            devnull = os.open(os.devnull, os.O_RDONLY)
            try:
                streams = (devnull, output.fileno(), output.fileno())
                forked = forkserver.fork(
                    "holdfast", *arguments, folder=tmp_path, environment={**os.environ},
                    streams=streams, postgresql=True,
                )  # fmt: skip
                code = forked.wait(TIMEOUT)
            finally:
                os.close(devnull)
            output.seek(0)
            return code, output.read().decode()

    return tell


def walk(hub: holdfast.Hub) -> None:
    """Something of every concern."""
    for number in range(300):
        cause = f"k{number - 1}" if number else None
        data = {"n": number, "text": "x" * number}
        hub.events.emit("t:x", data, session="s", key=f"k{number}", cause=cause, subject="a")
    hub.flush("disk")
    assert [event.data["n"] for event in hub.events.query(types=["t:*"], limit=1_000)] == list(
        range(300)
    )
    assert hub.events.count(subject="a") == 300
    assert len(hub.events.chain("k299")) == 300
    hub.state.create("agent", {"name": "ana", "age": 2**70, "tags": ["a\0b"]}, id="a1")
    hub.state.create("agent", {"name": "bob"}, id="a2")
    with pytest.raises(Conflict):
        hub.state.update("a1", {"name": "x"}, expected_version=7)
    hub.state.relate("a1", "knows", "a2", {"since": 1.5})
    assert [entity.id for entity in hub.state.query(type="agent")] == ["a1", "a2"]
    hub.state.push("a1", "inbox", {"m": 1})
    hub.sessions.put("s1", {"user": "ana"}, durability="committed")
    hub.sessions.append("s1", {"turn": 1})
    hub.checkpoints.put("planner", {"step": 1, "text": "y" * 100_000})
    with hub.events.subscribe(start="first", name="reader", types=["t:x"], subject="a") as events:
        events.ack(next(events))


def look(hub: holdfast.Hub) -> None:
    """That it is still there."""
    assert hub.events.count(types=["t:x"]) == 300
    assert hub.events.query(types=["t:x"], limit=1, reverse=True)[0].data["text"] == "x" * 299
    ana = hub.state.get("a1")
    assert ana is not None
    assert ana.properties == {"name": "ana", "age": 2**70, "tags": ["a\0b"]}
    assert "a2" in str(hub.state.traverse("a1"))
    assert len(hub.state.peek("a1", "inbox")) == 1
    session = hub.sessions.get("s1")
    assert session is not None
    assert session.data == {"user": "ana"}
    assert [item.data for item in hub.sessions.items("s1")] == [{"turn": 1}]
    checkpoint = hub.checkpoints.get("planner")
    assert checkpoint is not None
    assert checkpoint.state == {"step": 1, "text": "y" * 100_000}
    assert [each.name for each in hub.events.subscribers()] == ["reader"]


def test_a_daemon_on_postgresql_has_every_concern_across_kills_and_restarts(
    tmp_path: Path, postgresql_server: PostgresqlServer, told: Callable[..., tuple[int, str]]
) -> None:
    dsn = postgresql_server.new_database()
    with Daemon(tmp_path, config_of(dsn)) as daemon:
        with holdfast.connect(daemon.run_dir) as hub:
            walk(hub)
            for name in ("writer", "log", "query", "sessions", "checkpoints"):
                daemon.wait_for_another(name, daemon.kill(name))
            look(hub)
        where = ("--run-dir", str(daemon.run_dir))
        code, said = told("doctor", *where)
        assert code == 0, said
        assert "database: database " in said
        version = postgresql_server.execute("SHOW server_version")[0][0]
        assert f"ok       server: PostgreSQL {version}\n" in said
        assert "warning  server: fsync is off" in said  # tests' servers are quick
        assert "warning  server: autovacuum is off" in said
        code, said = told("status", *where)
        assert f"  PostgreSQL {version}  up" in said
        code, said = told("status", "--json", *where)
        assert json.loads(said)["database"]["version"] == version
        assert json.loads(said)["sqlite_version"]
        code, said = told("backup", str(tmp_path / "copy"), *where)
        assert code == 1
        assert "pg_dump" in said
    with Daemon(tmp_path, config_of(dsn)) as daemon, holdfast.connect(daemon.run_dir) as hub:
        look(hub)
    rows = postgresql_server.execute(
        "SELECT count(*) FROM holdfast.events WHERE daemon = 'test' AND type = 't:x'",
        dsn.rpartition("dbname=")[2],
    )
    assert rows == [(300,)]


def test_the_config_for_postgresql_starts_as_it_is(
    tmp_path: Path, postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_DSN", postgresql_server.new_database())
    config = (ROOT / "configs" / "postgresql.toml").read_text()
    with Daemon(tmp_path, config) as daemon, holdfast.connect(daemon.run_dir) as hub:
        hub.events.emit("t:x")
        hub.flush()
        assert hub.events.count(types=["t:x"]) == 1


def test_a_daemon_in_memory_survives_every_kill_and_no_stop(tmp_path: Path) -> None:
    config = f'{CONFIG}[storage]\nbackend = "memory"\n'
    folder = memory_folder(tmp_path / "var" / "lib")
    with Daemon(tmp_path, config) as daemon:
        with holdfast.connect(daemon.run_dir) as hub:
            walk(hub)
        daemon.kill("root")
        daemon.restart()
        with holdfast.connect(daemon.run_dir) as hub:
            look(hub)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not (tmp_path / "var" / "lib" / "holdfast.db").exists()
    assert not folder.exists()


def refusals(server: PostgresqlServer) -> list[tuple[str, str]]:
    """Each DSN, and what is said of it."""
    if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'nobody'"):  # of another test
        server.execute("CREATE ROLE nobody LOGIN PASSWORD 'secret'")
    taken = server.new_database()
    name = taken.rpartition("dbname=")[2]
    server.execute("CREATE SCHEMA holdfast; CREATE TABLE holdfast.other (a int)", name)
    newer = server.new_database()
    name = newer.rpartition("dbname=")[2]
    server.execute(
        "CREATE SCHEMA holdfast; CREATE TABLE holdfast.schema_version (version int)", name
    )
    server.execute("INSERT INTO holdfast.schema_version VALUES (99)", name)
    still = server.new_database()
    name = still.rpartition("dbname=")[2]
    server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    other = server.new_database().replace("user=holdfast", "user=nobody password=secret")
    name = server.new_database().rpartition("dbname=")[2]
    if not server.execute("SELECT 1 FROM pg_database WHERE datname = 'latin'"):
        server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    return [
        ("host=/nowhere dbname=x password=secret", "No such file or directory"),
        ("host=127.0.0.1 port=1 dbname=x", "Connection refused"),
        (server.dsn("nothing"), "there is no such database or user"),
        ("secret secret", "no connection string of PostgreSQL"),
        ("postgresql://me:my/secret@127.0.0.1:1/x", 'each "/" is written %2F'),
        ("postgresql://me:my@secret@127.0.0.1:1/x", 'each "@" %40'),
        (taken, "tables of another program"),
        (newer, "schema version 99, but this holdfast knows up to"),
        (still, "read-only"),
        (other, "GRANT CREATE ON DATABASE"),
        (server.dsn("latin"), "encoded as LATIN1"),
    ]


def test_a_database_that_cannot_be_used_is_refused_by_name_and_no_secret_is_shown(
    tmp_path: Path, postgresql_server: PostgresqlServer, told: Callable[..., tuple[int, str]]
) -> None:
    for dsn, reason in refusals(postgresql_server):
        config = tmp_path / "c.toml"
        config.write_text(config_of(dsn) + 'outage = "fail"\n', encoding="utf-8")
        code, said = told("start", "c.toml")
        assert code != 0
        assert reason in said, said
        assert "secret" not in said
        assert "Traceback" not in said


def test_two_daemons_of_one_name_are_told_apart(
    tmp_path: Path, postgresql_server: PostgresqlServer, told: Callable[..., tuple[int, str]]
) -> None:
    dsn = postgresql_server.new_database()
    with Daemon(tmp_path / "one", config_of(dsn)) as daemon:
        (tmp_path / "c.toml").write_text(config_of(dsn), encoding="utf-8")
        code, said = told("start", "c.toml")
        assert code != 0
        assert "the data of daemon 'test' is being written from" in said
        assert str(tmp_path / "one") in said
        with Daemon(tmp_path / "two", config_of(dsn, "other")) as second:
            for each in (daemon, second):
                with holdfast.connect(each.run_dir) as hub:
                    hub.events.emit("t:x", key="same", source="s")
                    hub.flush()
                    assert hub.events.count(types=["t:x"]) == 1


def test_without_the_extra_nothing_of_it_is_imported_and_the_config_says_what_to_install(
    tmp_path: Path,
) -> None:
    """B9.  In a Python of its own: this one has psycopg."""
    program = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("psycopg"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import importlib
from holdfast.supervisors import roles
for name in roles.PRELOAD: importlib.import_module(name)
from holdfast.supervisors import tree
from holdfast.__main__ import main
main()
"""
    (tmp_path / "c.toml").write_text(config_of("host=x"), encoding="utf-8")
    command = [sys.executable, "-c", program, "start", "c.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done
    assert "pip install 'holdfast[postgresql]'" in done.stderr
    assert "Traceback" not in done.stderr
