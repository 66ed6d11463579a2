"""``./run demo``: recorded agent sessions through a real tree while every process of it is killed.

Starts the daemon of configs/demo.toml, whose three agents replay agent_traces.jsonl.  Meanwhile
each actor, agent and nested supervisor is SIGKILLed twice.  Then the sessions move to a Redis or
Valkey server and the database to PostgreSQL, and back, where those are.  At the end the database is
compared with the file, event by event.  Exits 0 when nothing was lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zstandard
from rich.console import Console
from rich.table import Table

import holdfast
from holdfast.actors.messages import checkpoints, files, log, query, sessions, tracker, writer
from holdfast.actors.messages.supervisor import ChildStatus
from holdfast.cli.daemon import tree_of, walk
from holdfast.client import is_there
from holdfast.storage.records import EventFilter

ROOT: Final = Path(__file__).resolve().parent.parent
CONFIG: Final = "configs/demo.toml"
COPY: Final = "demo.toml"
TRACES: Final = "examples/agent_traces.jsonl"
AGENTS: Final = ("replay-1", "replay-2", "replay-3")
SUPERVISORS: Final = ("state", "agents")
ROUNDS: Final = 2
INTERVAL: Final = 0.4  # seconds between kills: spreads them over the replay
DEADLINE: Final = 25.0  # seconds for a start, a restart, or for the agents to finish

# What each actor is asked to find out whether it answers; none of it changes anything.
QUESTIONS: Final[dict[str, object]] = {
    "writer": writer.GetPosition(),
    "query": query.CountEvents(EventFilter(types=("session:started",))),
    "log": log.Stats(),
    "sessions": sessions.Stats(),
    "checkpoints": checkpoints.Get(AGENTS[0]),
    "files": files.Stats(),
    "tracker": tracker.Stats(),
    **dict.fromkeys(AGENTS, "where are you?"),
}

# What the figures of a Verdict are called where their names do not say it.
LABELS: Final = {"out_of_order": "sessions out of order", "unopened": "sessions lost"}

console = Console(highlight=False)


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL: when, who, and how long until the new process answered."""

    at: float
    name: str
    pid: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The database beside the file."""

    sent: int
    committed: int
    lost: list[str]
    duplicated: list[str]
    changed: list[str]
    out_of_order: list[str]
    unopened: list[str]  # sessions of the file that are not in the database

    @property
    def is_clean(self) -> bool:
        """Whether every event of the file is there once, as it was, in its order."""
        flaws = (self.lost, self.duplicated, self.changed, self.out_of_order, self.unopened)
        return not any(flaws)


def main() -> int:
    """Run the demo; its exit code."""
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, help="an empty directory for it (default: var/demo)")
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # not without stopping the daemon
    began = time.monotonic()
    try:
        folder = _prepare(parser.parse_args().dir)
        with _daemon(folder) as run_dir:
            kills = _replay(run_dir)
            _move(folder, run_dir)
            _stop(run_dir)
        verdict = compare(folder / "lib" / "holdfast.db", Path(TRACES))
    except (DemoError, holdfast.HoldfastError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _report(folder, kills, verdict, time.monotonic() - began)
    return 0 if verdict.is_clean else 1


# -- the daemon ------------------------------------------------------------------------------


def _prepare(chosen: Path | None) -> Path:
    """An empty folder; only the demo's own one is ever emptied."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        if any(chosen.iterdir()):
            raise DemoError(f"{chosen} is not empty: choose another directory")
        return chosen
    folder = Path("var/demo")
    if is_there(folder / "run"):
        raise DemoError(f"a daemon runs at {folder}/run: ./run stop --run-dir {folder}/run")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def _daemon(folder: Path) -> Iterator[Path]:
    """A daemon that is ready; gone afterwards, whatever happened."""
    run_dir = folder / "run"
    shutil.copy(CONFIG, folder / COPY)  # it is edited
    command = [sys.executable, "-m", "holdfast", "start", str(folder / COPY)]
    command += ["--data-dir", str(folder / "lib"), "--run-dir", str(run_dir)]
    log_path = folder / "daemon.log"
    with (
        log_path.open("wb") as log_file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log_file) as process,
    ):
        try:
            _wait_until_ready(process, log_path)
            yield run_dir
        finally:
            process.terminate()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()  # the kernel and its supervisors' pipes end the rest of the tree


def _wait_until_ready(process: subprocess.Popen[bytes], log_path: Path) -> None:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
    line = process.stdout.readline().decode() if ready else ""
    if not line.startswith("ready"):
        raise DemoError(f"the daemon did not become ready; its log is {log_path}")
    console.print(line.rstrip(), markup=False)


def _stop(run_dir: Path) -> None:
    command = [sys.executable, "-m", "holdfast", "stop", "--run-dir", str(run_dir)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise DemoError("the daemon did not stop")


# -- the kills -------------------------------------------------------------------------------


def _replay(run_dir: Path) -> list[Kill]:
    """Kill everything twice while the agents replay; returns when they are done."""
    with holdfast.connect(run_dir) as hub:
        kills = _kill_in_turn(hub)
        deadline = time.monotonic() + DEADLINE
        while not all(_is_done(hub, agent) for agent in AGENTS):
            if time.monotonic() > deadline:
                raise DemoError(f"the agents did not finish within {DEADLINE:g} s after the kills")
            time.sleep(0.05)
    return kills


def _kill_in_turn(hub: holdfast.Hub) -> list[Kill]:
    targets = [name for _ in range(ROUNDS) for name in (*QUESTIONS, *SUPERVISORS)]
    began = time.monotonic()
    kills = []
    for index, name in enumerate(targets):
        time.sleep(max(0.0, began + (index + 1) * INTERVAL - time.monotonic()))
        pid, milliseconds = kill_and_wait(hub, name)
        kills.append(Kill(time.monotonic() - began, name, pid, milliseconds))
        console.print(_row(kills[-1], first=index == 0, progress=_progress(hub)))
    return kills


def kill_and_wait(hub: holdfast.Hub, name: str) -> tuple[int, float]:
    """SIGKILL an actor; its pid, and the milliseconds until its successor answered."""
    victim = _status_of(hub, name)
    if victim.pid is None:
        raise DemoError(f"{name} has no process: {victim.state}")
    descriptor = os.pidfd_open(victim.pid)
    began = time.perf_counter()
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        # Dead before it is asked: what answers then is the next one.
        select.select([descriptor], [], [], DEADLINE)
    finally:
        os.close(descriptor)
    for ask in _questions(victim):
        hub.ask(ask, QUESTIONS[ask], timeout=DEADLINE)
    return victim.pid, (time.perf_counter() - began) * 1000


def _questions(victim: ChildStatus) -> list[str]:
    """Who has to answer: the victim, or all that a supervisor took with it."""
    return [child.id for _, child in walk(victim) if child.id in QUESTIONS]


def _status_of(hub: holdfast.Hub, name: str) -> ChildStatus:
    for _, child in walk(tree_of(hub).root):
        if child.id == name:
            return child
    raise DemoError(f"{CONFIG} has no child {name!r}")


def _is_done(hub: holdfast.Hub, agent: str) -> bool:
    newest = hub.checkpoints.get(agent)
    return newest is not None and bool(newest.state["done"])


def _progress(hub: holdfast.Hub) -> int:
    return hub.events.count(types=("session:*", "completion:*", "tool:*"))


def _move(folder: Path, run_dir: Path) -> None:
    """Sessions and database to servers, and back."""
    sys.path.insert(0, str(ROOT))  # a script is only given its own folder
    from examples.moving import move_there_and_back

    console.print()
    move_there_and_back(folder / COPY, run_dir, console)


# -- the comparison --------------------------------------------------------------------------


def compare(database: Path, traces: Path) -> Verdict:
    """Look for every line of the file in the database, and for nothing else beside them."""
    with traces.open(encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    expected = {line["id"]: line for line in lines}
    found: dict[str, dict[str, Any]] = {}
    duplicated: list[str] = []
    rows, sessions = _stored(database, {line["source"] for line in lines})
    for row in rows:
        if row["id"] in found or row["id"] not in expected:
            duplicated.append(str(row["id"]))
        else:
            found[row["id"]] = row
    return Verdict(
        sent=len(lines),
        committed=len(rows),
        lost=[key for key in expected if key not in found],
        duplicated=duplicated,
        changed=[key for key, row in found.items() if row != expected[key]],
        out_of_order=_out_of_order(lines, list(found.values())),
        unopened=sorted({line["session"] for line in lines} - sessions),
    )


def _stored(database: Path, sources: set[str]) -> tuple[list[dict[str, Any]], set[str]]:
    """The events of these sources, by number and in the file's shape; and the sessions."""
    connection = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
    try:
        statement = """
            SELECT key, source, type, session, cause, data, codec, body
            FROM events LEFT JOIN payloads ON payload = ref ORDER BY seq
        """
        names = ("id", "source", "type", "session", "parent", "data")
        rows = [
            dict(zip(names, (*row[:5], _text(*row[5:])), strict=True))
            for row in connection.execute(statement)
        ]
        ids = {id_ for (id_,) in connection.execute("SELECT id FROM sessions")}
    finally:
        connection.close()
    events = [row for row in rows if row["source"] in sources]
    return [{**row, "data": json.loads(row["data"])} for row in events], ids


def _text(data: str, codec: str | None, body: bytes | None) -> str | bytes:
    """Large data stands apart, compressed where that is worth it."""
    if codec is None or body is None:
        return data
    return zstandard.ZstdDecompressor().decompress(body) if codec == "zstd" else body


def _out_of_order(lines: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[str]:
    """The sessions whose events are not in the order of the file."""
    stored = {row["id"] for row in rows}
    wanted = _by_session([line for line in lines if line["id"] in stored])
    return [session for session, ids in _by_session(rows).items() if ids != wanted[session]]


def _by_session(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for event in events:
        ids.setdefault(event["session"], []).append(event["id"])
    return ids


# -- what is printed -------------------------------------------------------------------------


def _row(kill: Kill, *, first: bool, progress: int) -> Table:
    """One line of a table that grows as the kills happen."""
    table = Table(box=None, show_header=first, pad_edge=False)
    table.add_column("second", justify="right", min_width=6)
    table.add_column("SIGKILL to", min_width=12, style="bold")
    table.add_column("pid", justify="right", min_width=8)
    table.add_column("answers again after", justify="right", min_width=20, style="green")
    table.add_column("events committed", justify="right", min_width=17)
    milliseconds = f"{kill.milliseconds:.1f} ms"
    table.add_row(f"{kill.at:.1f}", kill.name, str(kill.pid), milliseconds, str(progress))
    return table


def _report(folder: Path, kills: list[Kill], verdict: Verdict, seconds: float) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=24)
    table.add_column(justify="right", style="bold")
    answers = sorted(kill.milliseconds for kill in kills)
    median, slowest = answers[len(answers) // 2], answers[-1]
    table.add_row("processes killed", f"{len(kills)}")
    table.add_row("answered again after", f"{median:.1f} ms median, {slowest:.1f} ms at most")
    for name in ("sent", "committed"):
        table.add_row(f"events {name}", str(getattr(verdict, name)))
    for name in ("lost", "duplicated", "changed", "out_of_order", "unopened"):
        count = len(getattr(verdict, name))
        style = "bold red" if count else "bold green"
        table.add_row(LABELS.get(name, name), f"[{style}]{count}[/]")
    table.add_row("seconds", f"{seconds:.1f}")
    console.print()
    console.print(table)
    for key in (verdict.lost + verdict.duplicated + verdict.changed)[:10]:
        console.print(f"  {key}", style="red", markup=False)
    database = folder / "lib" / "holdfast.db"
    select_types = "SELECT type, count(*) FROM events GROUP BY type"
    console.print(f"\nThe database is {database}. Look into it:\n", markup=False)
    for command in (
        f'sqlite3 {database} "{select_types}"',
        f"./run start {CONFIG} --data-dir {folder}/lib --run-dir var/run",
    ):
        console.print(f"  {command}", markup=False, soft_wrap=True)
    console.print("      and beside it: ./run events query --type 'tool:*' --limit 5")


if __name__ == "__main__":
    sys.exit(main())
