"""The end of the demo: the daemon's data moves to servers and back, while somebody uses it.

The longest wait is that of the user, for a change of an entity and one of a session.

Where a server is not there, it says so; the database moves to another file then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

import holdfast

__all__ = ["move_there_and_back"]

PAUSE: Final = 0.005  # seconds between two changes of the one who uses it
SETTLE: Final = 0.3  # seconds before and after each move
TIMEOUT: Final = 60.0


def move_there_and_back(config: Path, run_dir: Path, console: Console) -> None:
    """Edit the config, reload, and so on; at the end the data is where it was."""
    base = config.read_text()
    with ExitStack() as stack:
        sessions = _sessions_elsewhere(stack, console)
        database = _database_elsewhere(stack, console)
        steps = [("sessions", base + sessions)] if sessions else []
        steps.append(("database", base + sessions + database))
        steps.append(("database", base + sessions))
        if sessions:
            steps.append(("sessions", base))
        for index, (part, text) in enumerate(steps):
            console.print(_moved(config, run_dir, part, text, first=index == 0))


def _moved(config: Path, run_dir: Path, part: str, text: str, *, first: bool) -> Table:
    """One reload, and a line that says what it was like for who used it meanwhile."""
    with _user(run_dir) as user, holdfast.connect(run_dir) as hub:
        time.sleep(SETTLE)
        user.longest = 0.0
        config.write_text(text)
        began = time.perf_counter()
        hub.supervision.reload(timeout=TIMEOUT)
        seconds = time.perf_counter() - began
        time.sleep(SETTLE)
        record = hub.supervision.swaps()[-1]
    table = Table(box=None, show_header=first, pad_edge=False)
    table.add_column("moved", min_width=8, style="bold")
    table.add_column("from", min_width=20)
    table.add_column("to", min_width=20)
    table.add_column("rows", justify="right", min_width=6)
    table.add_column("seconds", justify="right", min_width=7)
    # All of it in 80 columns.
    table.add_column("waited", justify="right", min_width=7, style="green")
    rows = f"{record.rows}" if part == "database" else ""
    waited = f"{user.longest * 1000:.0f} ms"
    table.add_row(part, record.source, record.target, rows, f"{seconds:.1f}", waited)
    return table


class _User:
    """Changes an entity and a session all the time; an error, or a lost change, ends the demo."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self.is_enough = threading.Event()
        self.longest = 0.0  # seconds
        self.error: BaseException | None = None

    def run(self) -> None:
        """Until it is enough."""
        try:
            with holdfast.connect(self._run_dir, source="demo/user") as hub:
                self._use(hub)
        except BaseException as error:  # raised where it is waited for
            self.error = error

    def _use(self, hub: holdfast.Hub) -> None:
        known: Any = hub.state.get("moving") or hub.state.create("demo", {"n": 0}, id="moving")
        version = known.version
        while not self.is_enough.wait(PAUSE):
            began = time.perf_counter()
            # Whose version is not the one that was told last has lost a change, or got one twice.
            known = hub.state.update(
                "moving", increment={"n": 1}, expected_version=version, timeout=TIMEOUT
            )
            hub.sessions.put("moving", {"n": known.version}, timeout=TIMEOUT)
            self.longest = max(self.longest, time.perf_counter() - began)
            version = known.version


@contextmanager
def _user(run_dir: Path) -> Iterator[_User]:
    user = _User(run_dir)
    thread = threading.Thread(target=user.run)
    thread.start()
    try:
        yield user
    finally:
        user.is_enough.set()
        thread.join()
    if user.error is not None:
        raise user.error


def _sessions_elsewhere(stack: ExitStack, console: Console) -> str:
    """The table of a config that has them in a server; "" where there is none."""
    from tests.conformance import redis_server

    if redis_server.find_redis() is None:
        console.print("no Redis or Valkey here (apt-get install redis-server): sessions stay")
        return ""
    server = stack.enter_context(redis_server.RedisServer())
    return f'\n[actors.sessions]\nbackend = "redis"\nurl = "{server.url}"\n'


def _database_elsewhere(stack: ExitStack, console: Console) -> str:
    """Likewise; where there is no server, another file."""
    from tests.conformance import servers

    if servers.find_postgresql() is None:
        console.print(
            "no PostgreSQL here (apt-get install postgresql): the database moves to another file"
        )
        return '\n[storage]\npath = "moved.db"\n'
    dsn = stack.enter_context(servers.running_postgresql()).new_database()
    return f'\n[storage]\nbackend = "postgresql"\ndsn = "{dsn}"\n'
