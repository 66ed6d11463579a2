"""The world of one round: a daemon with a new database, its clients, and what is done to them.

Owns all these processes and the round's folder.
"""

from __future__ import annotations

import heapq
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holdfast.errors import HoldfastError
from holdfast.testing.chaos.client import AGENTS, ENTITY_TYPE
from holdfast.testing.chaos.eye import Eye
from holdfast.testing.chaos.schedule import ACTORS
from holdfast.testing.daemon import Daemon
from holdfast.testing.faults.plan import DiskRecording, Injected
from holdfast.testing.faults.sockets import SocketProxy
from holdfast.testing.oracle.verdict import Level
from holdfast.testing.processes import Process, is_alive, lasting, send

__all__ = ["World", "config"]

START: Final = 60.0  # seconds for processes to begin; a bound on failure
FAREWELL: Final = 30.0  # seconds for a client to end, beyond those for what is owed to it
LOOK: Final = 0.02  # seconds between looks at what no descriptor tells of

_POLICY: Final = {
    "max_restarts": 100_000,
    "backoff": 0.02,
    "backoff_max": 0.2,
    "stable_after": 0.5,
    "heartbeat_interval": 0.2,
    "heartbeat_timeout": 1.0,
}


def config(folder: Path) -> dict[str, object]:
    """A tree of two levels: seven state actors, four agents, two of them below ``crew``."""
    witness = "holdfast.testing.chaos.witness:Witness"
    crew = {"parent": "agents", "strategy": "one_for_all", **_POLICY}
    supervisors = {"root": _POLICY, "state": _POLICY, "agents": _POLICY, "crew": crew}
    agents = {
        name: {
            "class": witness,
            "parent": "crew" if name in AGENTS[2:] else "agents",
            "options": {"folder": str(folder)},
        }
        for name in AGENTS
    }
    daemon = {"name": "chaos", "log_level": "WARNING"}
    return {"daemon": daemon, "supervisors": supervisors, "agents": agents}


class World:
    """Entered, everything runs; left, nothing does.  What went wrong is in ``violations``."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        clients: int,
        patience: float,
        behind_proxy: bool,
        records_disk: bool,
        command: type[Daemon],
    ) -> None:
        self.folder = folder
        self.journals = folder / "journals"
        self.violations: list[str] = []
        self.found: Counter[str] = Counter()  # of the oracle's rules, broken before the end
        self.levels: dict[Path, Level] = {}  # of journals, where it is not "committed"
        self.eye = Eye()
        self.proxy: SocketProxy | None = None
        # Armed from each start on.
        self._always = [DiskRecording(process="writer")] if records_disk else []
        self.daemon = command(folder, config(folder), faults=self._always, timeout=START)
        self.record = self.daemon.faults.record
        self.seed = seed
        self._count = clients
        self._patience = patience  # seconds for what is owed to a client at its end
        self._behind_proxy = behind_proxy
        self._lives = 0  # of clients so far
        self._clients: list[subprocess.Popen[bytes]] = []
        self._path_of: dict[int, Path] = {}  # journals by the pid of their client
        self._probe: subprocess.Popen[bytes] | None = None
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._stack = ExitStack()
        self._pause = threading.Event().wait

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _start(self) -> None:
        self.journals.mkdir(parents=True)
        self.daemon.start()
        self.daemon.hub.state.define_type(ENTITY_TYPE, history=True)
        if self._behind_proxy:
            proxy = SocketProxy(self.daemon.run_dir, ACTORS, seed=self.seed, record=self.record)
            self.proxy = self._stack.enter_context(proxy)
        self.eye.start()
        self._stack.callback(self.eye.stop)
        self.eye.watch(self.daemon.process.pid)
        self._start_clients()
        run_dir, file = str(self.daemon.run_dir), str(self.folder / "away.json")
        self._probe = self._spawn("holdfast.testing.chaos.probe", run_dir, file)

    # -- clients -----------------------------------------------------------------------------

    def _start_clients(self) -> None:
        journals = [self._journal(self._lives + more) for more in range(self._count)]
        for _ in journals:
            self.start_client()
        self.until("every client works", lambda: all(path.exists() for path in journals))

    def start_client(self) -> None:
        """A new life of one."""
        journal, seed = self._journal(self._lives), f"{self.seed * 1000 + self._lives}"
        run_dir = str(self.daemon.run_dir)
        module = "holdfast.testing.chaos.client"
        options = ("--seed", seed, "--patience", str(self._patience))
        client = self._spawn(module, run_dir, str(journal), *options)
        self._clients.append(client)
        self._path_of[client.pid] = journal
        self._lives += 1

    def kill_client(self) -> None:
        """The one that has lived longest; what is in its outboxes is lost."""
        client = self._clients.pop(0)
        client.kill()
        client.wait()

    def end_clients(self) -> None:
        """In order: each has what it sent acknowledged."""
        for client in self._clients:
            client.terminate()
        for client in self._clients:
            try:
                code = client.wait(self._patience + FAREWELL)
            except subprocess.TimeoutExpired:
                client.kill()
                code = client.wait()
            # One that has not begun yet ends at once, and has sent nothing.
            if code and self._path_of[client.pid].exists():
                self.violations.append(f"a client did not end in order: {code}")
        self._clients.clear()

    def _journal(self, life: int) -> Path:
        return self.journals / f"client-{life}.jsonl"

    def _spawn(self, module: str, *args: str) -> subprocess.Popen[bytes]:
        with (self.folder / "clients.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", module, *args], stdout=log, stderr=log)

    # -- the daemon's processes --------------------------------------------------------------

    def strike(self, name: str, number: int) -> Process | None:
        """Signal a process by its name, if it is there now."""
        process = self.eye.find(name)
        if process is None or not send(process, number):
            return None
        self.note(signal.Signals(number).name, name, process.pid)
        return process

    def kill_root(self) -> None:
        """And start it again."""
        pid = self.daemon.process.pid
        self.note("SIGKILL", "root", pid)
        self.eye.watch(0)
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.start_again()

    def start_again(self) -> None:
        """After the daemon has ended; what was armed is not: a root does not survive a child that
        does not start with it."""
        self.daemon.faults.disarm()
        self.daemon.faults.arm(*self._always)
        for bad in self.folder.glob("bad-*"):
            bad.unlink()
        self.daemon.restart()
        self.eye.watch(self.daemon.process.pid)

    def die(self) -> None:
        """Everything at once, clients too."""
        everyone = self.eye.everyone()
        self.eye.watch(0)
        self.daemon.process.kill()
        while self._clients:
            self.kill_client()
        self.daemon.process.wait()
        lasting(
            lambda: {process.pid: process for process in everyone if is_alive(process)},
            within=START,
        )

    def live_again(self) -> None:
        """After ``die``: the same daemon, other clients."""
        self._later.clear()  # who was to go on is dead
        self.start_again()
        self._start_clients()

    def mark_lives(self, level: Level) -> None:
        """Of what all lives so far were told, that is what they have to find."""
        self.levels |= dict.fromkeys(self.journals.glob("*.jsonl"), level)

    def check_root(self) -> None:
        """Nothing in a schedule ends the root but its own step."""
        if (code := self.daemon.process.poll()) is not None:
            self.violations.append(f"the daemon ended by itself: {code}")
            self.eye.watch(0)
            self.start_again()

    def note(self, kind: str, process: str, pid: int = 0, detail: str = "") -> None:
        """Into the record of what was injected."""
        self.record.append(Injected(process=process, pid=pid, kind=kind, detail=detail))

    # -- time --------------------------------------------------------------------------------

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """While ``wait`` waits, or at ``come_to_rest``."""
        entry = (time.monotonic() + seconds, len(self._later), callback)
        heapq.heappush(self._later, entry)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            if now >= until:
                return
            due = min(until, self._later[0][0] if self._later else until)
            self._pause(max(0.0, due - now))

    def until(self, what: str, condition: Callable[[], bool], timeout: float = START) -> bool:
        """Whether it came to be; a violation when it did not."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                self.violations.append(f"not within {timeout:.0f} s: {what}")
                return False
            self.wait(LOOK)
        return True

    def come_to_rest(self) -> float:
        """No more faults; the seconds until every actor runs."""
        while self._later:
            heapq.heappop(self._later)[2]()
        self.daemon.faults.disarm()
        began = time.monotonic()
        self.check_root()
        self.until("every actor runs after the last fault", self._is_all_running)
        return time.monotonic() - began

    def _is_all_running(self) -> bool:
        try:
            waiting = [self.daemon.tree().root]
        except (HoldfastError, AssertionError):
            return False
        states = {}
        while waiting:
            child = waiting.pop()
            states[child.id] = child.state
            waiting += child.children
        return states.keys() >= set(ACTORS) and set(states.values()) == {"running"}

    # -- its end -----------------------------------------------------------------------------

    def _end(self) -> None:
        programs = [*self._clients, *([self._probe] if self._probe else [])]
        for process in programs:
            process.terminate()
        for process in programs:
            try:
                process.wait(FAREWELL)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._stack.close()
        self.violations += self.eye.violations
        try:
            self.daemon.__exit__(None, None, None)
        except AssertionError as error:  # it did not stop in order, or left something behind
            self.violations.append(str(error))
