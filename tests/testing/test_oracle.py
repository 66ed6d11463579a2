"""The oracle: each of its rules finds what it is for, and a whole database breaks none."""

from __future__ import annotations

import ast
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.actors.hub import Hub
from holdfast.clock import SystemClock
from holdfast.testing import oracle
from holdfast.testing.chaos.client import AGENTS, ENTITY_TYPE, EVENT_TYPE, Client
from holdfast.testing.oracle import Journal, JournalError, Verdict, check
from tests.daemon import ForkedDaemon as Daemon

ACTS = 250  # of each of two clients
LIFE = "c0"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database and the journals of two clients and of the agents they told."""
    folder = tmp_path_factory.mktemp("whole")
    witness = {
        "class": "holdfast.testing.chaos.witness:Witness",
        "options": {"folder": str(folder)},
    }
    with Daemon(folder, agents=dict.fromkeys(AGENTS, witness)) as daemon:
        daemon.hub.state.define_type(ENTITY_TYPE, history=True)
        for seed in range(2):
            life = f"c{seed}"
            sender = f"chaos/{life}"
            path = folder / "journals" / f"{life}.jsonl"
            journal = Journal(path, life=life, sender=sender, type=EVENT_TYPE)
            with Hub(
                run_dir=daemon.run_dir,
                sender=sender,
                incarnation="1",
                source=life,
                clock=SystemClock(),
            ) as hub:
                client = Client(hub, journal, life=life, chance=random.Random(seed))
                for _ in range(ACTS):
                    client.act()
                client.finish()
            journal.close()
    return folder


@pytest.fixture
def world(whole: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(whole, tmp_path / "world", ignore=shutil.ignore_patterns("run", "log"))
    return tmp_path / "world"


def database(world: Path) -> Path:
    return world / "var" / "lib" / "holdfast.db"


def verdict(world: Path, level: oracle.verdict.Level = "committed") -> Verdict:
    return check(database(world), [world / "journals"], level=level)


def change(world: Path, *statements: str) -> None:
    """Behind the writer's back, foreign keys and checks off."""
    with closing(sqlite3.connect(database(world), isolation_level=None)) as editor:
        # SQLite's own since 3.43; triggers of ours use it.
        editor.create_function("octet_length", 1, lambda text: len(str(text).encode()))
        for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
            editor.execute(f"PRAGMA {pragma}")
        for statement in statements:
            before = editor.total_changes
            editor.execute(statement)
            assert editor.total_changes > before or statement.startswith("DROP"), statement


def rewrite(path: Path, edit: Callable[[list[dict[str, object]]], object]) -> None:
    """Change a journal's lines."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    before = json.dumps(lines)
    edit(lines)
    assert json.dumps(lines) != before, "nothing was changed"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def found(lines: list[dict[str, object]], **wanted: object) -> Iterator[dict[str, object]]:
    """The lines that have all of these."""
    return (line for line in lines if wanted.items() <= line.items())


def test_a_daemon_that_keeps_its_promises_breaks_no_rule(world: Path) -> None:
    result = verdict(world)
    assert result.violations == []
    assert result.is_good
    for kind in ("event", "change", "session", "checkpoint"):
        assert result.counts[kind, "stored"] > 0
    assert result.counts["tell", "handled"] == result.counts["tell", "sent"] > 0
    assert result.counts["event", "sent"] == result.counts["event", "stored"] > 1000
    assert verdict(world, "disk").is_good


def test_what_an_open_client_has_not_sent_yet_breaks_no_rule(world: Path) -> None:
    def kill(lines: list[dict[str, object]]) -> None:
        lines.pop()  # it ended
        lines.append({"send": "event", "n": 10**6, "to": 10**6 + 5})

    path = world / "journals" / f"{LIFE}.jsonl"
    rewrite(path, kill)
    path.write_bytes(path.read_bytes() + b'{"send":"event","n":')  # cut by its death
    result = verdict(world)
    assert result.is_good
    assert result.counts["event", "queued"] == 6


EVENT = f"source = '{LIFE}' AND type = '{EVENT_TYPE}'"
THIRD = f"(SELECT seq FROM events WHERE {EVENT} ORDER BY seq LIMIT 1 OFFSET 2)"
FOURTH = f"(SELECT seq FROM events WHERE {EVENT} ORDER BY seq LIMIT 1 OFFSET 3)"
ANY_EVENT = f"(SELECT max(seq) FROM events WHERE {EVENT})"
COPIED = "daemon, time_us, type, source, depth"
COPY = f"INSERT INTO events ({COPIED}, data) SELECT {COPIED}, {{}} FROM events WHERE seq = {THIRD}"
ENTITY = "(SELECT number FROM entities LIMIT 1)"
PROPERTY = f"INSERT INTO properties SELECT {{}}, {{}}, type, kind, key, rest FROM properties WHERE entity = {ENTITY} LIMIT 1"  # noqa: E501  # one statement
RELATION = "INSERT INTO relationships VALUES ('{}', 'knows', '{}', 1, 1, 1, '{{}}')"
SESSION = f"(SELECT id FROM sessions WHERE id LIKE '{LIFE}/%' LIMIT 1)"

BY_SQL = [
    # Events.
    ("acknowledged", [f"DELETE FROM events WHERE seq = {THIRD}"]),
    ("versions", [f"DELETE FROM events WHERE seq = {THIRD}"]),
    ("ledger", [f"DELETE FROM events WHERE seq = {THIRD}"]),
    ("sent", [f"UPDATE events SET data = '99999999' WHERE seq = {ANY_EVENT}"]),
    ("twice", [COPY.format("data")]),
    ("sent", [COPY.format("'99999999'")]),
    ("order", [f"UPDATE events SET seq = -seq WHERE seq = {FOURTH}"]),
    ("ledger", [f"INSERT INTO dropped VALUES (NULL, 1, 'chaos/{LIFE}', '1', 'log', 1, 1, 1, 'x')"]),
    # Entities.
    ("versions", ["DELETE FROM entity_history WHERE version = 1"]),
    ("acknowledged", ["DELETE FROM entity_history WHERE version = 1"]),
    ("sent", ["""UPDATE entity_history SET properties = '{"by":"c9","n":1}' WHERE version = 2"""]),
    (
        "twice",
        [
            "UPDATE entity_history SET properties = (SELECT h.properties FROM entity_history AS h "
            "WHERE h.id = entity_history.id AND h.version = 2) WHERE version = 3"
        ],
    ),
    (
        "order",
        [
            "UPDATE entity_history SET version = -version WHERE version BETWEEN 2 AND 7",
            "UPDATE entity_history SET version = 9 + version WHERE version < 0",
        ],
    ),
    ("updates", ["UPDATE entity_history SET version = version + 1000"]),
    # Sessions and checkpoints.
    ("acknowledged", [f"DELETE FROM sessions WHERE id = {SESSION}"]),
    ("acknowledged", [f"UPDATE sessions SET data = '1' WHERE id = {SESSION}"]),
    ("sent", [f"UPDATE sessions SET data = '99999999' WHERE id = {SESSION}"]),
    ("acknowledged", [f"DELETE FROM checkpoints WHERE agent = '{LIFE}' AND id = 2"]),
    ("versions", [f"DELETE FROM checkpoints WHERE agent = '{LIFE}' AND id = 2"]),
    ("sent", [f"UPDATE checkpoints SET state = '{{\"n\":5000000}}' WHERE agent = '{LIFE}'"]),
    (
        "twice",
        [
            f"UPDATE checkpoints SET state = (SELECT state FROM checkpoints WHERE agent = '{LIFE}'"
            f" AND id = 1) WHERE agent = '{LIFE}' AND id = 2"
        ],
    ),
    (
        "order",
        [
            f"UPDATE checkpoints SET id = -id WHERE agent = '{LIFE}' AND id < 3",
            f"UPDATE checkpoints SET id = 3 + id WHERE agent = '{LIFE}' AND id < 0",
        ],
    ),
    # The rest needs no journal.
    ("foreign_keys", ["DELETE FROM entities WHERE id = 'first'"]),
    ("orphans", ["DELETE FROM entities WHERE id = 'first'"]),
    ("orphans", [PROPERTY.format(-1, "name")]),
    ("orphans", [PROPERTY.format(ENTITY, "'more'")]),
    ("orphans", [RELATION.format("first", "nobody")]),
    ("orphans", [RELATION.format("nobody", "first")]),
    ("orphans", ["INSERT INTO session_items VALUES ('none', 1, 1, NULL, '1')"]),
    ("orphans", ["INSERT INTO queue_items VALUES (1, 77, 1, NULL, '1')"]),
    ("ledger", ["INSERT INTO queues VALUES (1, 'a', 'b', 3)"]),
    ("orphans", ["INSERT INTO stream_events VALUES (-1, 's', 1)"]),
    ("orphans", ["INSERT INTO payloads VALUES ('r', 1, 'plain', x'00')"]),
    ("orphans", [f"UPDATE events SET payload = 'r' WHERE seq = {THIRD}"]),
    ("orphans", ["INSERT INTO checkpoint_parts VALUES (1, randomblob(16), 1, 1)"]),
    ("orphans", ["INSERT INTO checkpoint_data VALUES (1, 1, 0, x'00')"]),
    ("orphans", ["INSERT INTO checkpoint_pins VALUES ('nobody', 'best', 1)"]),
    ("orphans", ["INSERT INTO results VALUES ('a', '1', 'writer', 1, x'00')"]),
    ("ledger", ["INSERT INTO senders VALUES ('a', '1', 'log', 5, 0, 0, 1, 9)"]),
]


@pytest.mark.parametrize(("rule", "statements"), BY_SQL)
def test_a_database_that_was_tampered_with_breaks_the_rule(
    world: Path, rule: str, statements: list[str]
) -> None:
    change(world, *statements)
    assert verdict(world).found[rule], verdict(world).violations


def test_an_index_that_does_not_fit_its_table_is_found(world: Path) -> None:
    with closing(sqlite3.connect(database(world), isolation_level=None)) as editor:
        editor.execute("PRAGMA writable_schema = ON")
        editor.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'time_us, type', 'type, time_us')"
            " WHERE name = 'events_by_time'"
        )
    assert verdict(world).found["integrity"]


def _read(kind: str, key: str, value: object) -> Callable[[list[dict[str, object]]], None]:
    return lambda lines: list(found(lines, read=kind))[-1].update({key: value})


def _told(line: dict[str, object]) -> bool:
    return line.get("told") == "committed" and "version" in line


def _expect_another(lines: list[dict[str, object]]) -> None:
    """Of a change that was committed: it had expected another version."""
    told = {line["n"] for line in lines if _told(line)}
    sent = next(line for line in found(lines, send="change") if line["n"] in told)
    sent["expected"] = int(str(sent["expected"])) + 3


def _refuse(kind: str) -> Callable[[list[dict[str, object]]], None]:
    def edit(lines: list[dict[str, object]]) -> None:
        told = [line for line in lines if line.get("told") in ("committed", "disk")]
        sent = {line["n"] for line in found(lines, send=kind)}
        next(line for line in told if line["n"] in sent)["told"] = "refused"

    return edit


BY_JOURNAL = [
    ("updates", LIFE, _expect_another),
    ("reads", LIFE, _read("change", "n", 5)),
    ("reads", LIFE, _read("change", "version", 1)),
    ("reads", LIFE, _read("session", "n", 1)),
    ("reads", LIFE, _read("session", "n", None)),
    ("sent", LIFE, _refuse("change")),
    ("sent", LIFE, _refuse("checkpoint")),
    ("ledger", LIFE, lambda lines: lines[-1].update(dropped=1)),
    ("ledger", LIFE, lambda lines: lines[-1].update(duplicates=1)),
    ("acknowledged", "agent-alpha-*", lambda lines: lines.pop()),
    ("sent", "agent-alpha-*", lambda lines: lines[-1].update(handled=10**7)),
    ("sent", "agent-alpha-*", lambda lines: lines[-1].update({"from": "nobody"})),
    ("twice", "agent-alpha-*", lambda lines: lines.append(lines[-1])),
    ("order", "agent-alpha-*", lambda lines: lines.append(lines.pop(2))),
]


@pytest.mark.parametrize(("rule", "journal", "edit"), BY_JOURNAL)
def test_a_journal_that_says_something_else_breaks_the_rule(
    world: Path, rule: str, journal: str, edit: Callable[[list[dict[str, object]]], object]
) -> None:
    (path,) = (world / "journals").glob(f"{journal}.jsonl")
    rewrite(path, edit)
    assert verdict(world).found[rule], verdict(world).violations


def test_an_event_of_somebody_unknown_was_never_sent(world: Path) -> None:
    (world / "journals" / f"{LIFE}.jsonl").unlink()
    assert "of whom there is no journal" in str(verdict(world).violations[0])


def test_an_event_that_was_refused_is_not_stored(world: Path) -> None:
    def refuse(lines: list[dict[str, object]]) -> None:
        first = next(found(lines, send="event"))
        lines.append({"told": "refused", "n": first["n"]})

    rewrite(world / "journals" / f"{LIFE}.jsonl", refuse)
    assert verdict(world).found["sent"]


def test_a_repeat_that_is_marked_and_a_dead_letter_break_no_rule(world: Path) -> None:
    (path,) = (world / "journals").glob("agent-alpha-*.jsonl")
    last: dict[str, object] = {}

    def bury(lines: list[dict[str, object]]) -> None:
        last.update(lines.pop())
        lines.append({**lines[-1], "again": True})

    rewrite(path, bury)
    message = json.dumps([last["from"], last["handled"]])
    letter = f"(9, 1, 'alpha', 's', '1', 'alpha', 1, 'tell', 'poison', 2, x'00', '{message}')"
    change(world, f"INSERT INTO dead_letters VALUES {letter}")
    assert verdict(world).violations == []


def test_power_loss_may_take_the_end_of_what_was_committed_and_not_the_middle(
    world: Path,
) -> None:
    def never_on_disk(lines: list[dict[str, object]]) -> None:
        for line in found(lines, level="disk"):
            if "flushed" in line:
                line["level"] = "committed"
        lines.pop()

    rewrite(world / "journals" / f"{LIFE}.jsonl", never_on_disk)
    tail = f"(SELECT seq FROM events WHERE {EVENT} ORDER BY seq DESC LIMIT 5)"
    change(world, f"DELETE FROM events WHERE seq IN {tail}")
    after_power_loss = verdict(world, "disk").found
    assert not {"acknowledged", "middle"} & set(after_power_loss)
    assert verdict(world).found["acknowledged"]
    change(world, f"DELETE FROM events WHERE seq = {THIRD}")
    assert verdict(world, "disk").found["middle"]


def test_what_was_acknowledged_on_the_disk_is_there_after_a_power_loss(world: Path) -> None:
    change(world, f"DELETE FROM events WHERE seq = {THIRD}")
    assert verdict(world, "disk").found["acknowledged"]


def test_the_command_says_what_is_broken(world: Path) -> None:
    def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "holdfast.testing.oracle", *args]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = run(database(world), world / "journals")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.endswith("every promise is kept\n")
    change(world, f"DELETE FROM events WHERE seq = {THIRD}")
    broken = run(database(world), world / "journals")
    assert broken.returncode == 1
    assert "acknowledged: events of c0" in broken.stdout
    assert "broken: acknowledged 1, ledger 1, versions 1" in broken.stdout
    nothing = run(world / "none.db", world / "journals")
    assert nothing.returncode == 2
    assert "unable to open" in nothing.stderr


def test_a_journal_of_something_else_is_refused(world: Path) -> None:
    path = world / "journals" / f"{LIFE}.jsonl"
    path.write_text(path.read_text().replace('"told"', '"tolled"', 1))
    with pytest.raises(JournalError, match=r"c0\.jsonl:\d+"):
        verdict(world)


def test_a_second_life_has_a_journal_of_its_own(tmp_path: Path) -> None:
    Journal(tmp_path / "a.jsonl", life="a").close()
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "a.jsonl", life="a")


def test_the_oracle_shares_no_code_with_the_daemon() -> None:
    folder = Path(oracle.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in filter(None, names):
                top = name.split(".")[0]
                is_own = name.startswith("holdfast.testing.oracle")
                assert is_own or top in sys.stdlib_module_names, f"{path.name}: {name}"
