"""The chaos soak's faults, planned from a seed, and the eye that watches the processes meanwhile.

The plan is a function of the seed alone; when a fault lands depends on the machine, what is
promised does not.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

import holdfast
from holdfast.errors import DeliveryError
from tests.daemon import Daemon

__all__ = ["ACTORS", "CONFIG", "Busy", "Eye", "Fault", "inflict", "plan"]

ROOT: Final = Path(__file__).resolve().parents[2]
STATE: Final = ("writer", "query", "log", "sessions", "checkpoints", "files", "tracker")
AGENTS: Final = ("alpha", "beta", "gamma")  # gamma and delta restart together, below "crew"
ACTORS: Final = (*STATE, *AGENTS, "delta")
OTHERS: Final = ("state", "agents", "crew", "zygote:state", "zygote:agents", "zygote:root")

_POLICY: Final = """
max_restarts = 100_000
backoff = 0.02
backoff_max = 0.2
stable_after = 0.5
heartbeat_interval = 0.2
heartbeat_timeout = 1.0
"""
_AGENT: Final = """
[agents.{name}]
class = "tests.supervisors.chaos:Busy"
python_path = ["{root}"]
parent = "{parent}"
options = {{ folder = "{folder}" }}
"""
CONFIG: Final = (
    '[daemon]\nname = "chaos"\nlog_level = "WARNING"\n'
    + "".join(f"[supervisors.{name}]{_POLICY}" for name in ("root", "state", "agents"))
    + f'[supervisors.crew]\nparent = "agents"\nstrategy = "one_for_all"{_POLICY}'
)

Kind = Literal["kill", "stop", "continue", "exit", "slow", "bad", "flood"]


class Fault(NamedTuple):
    """``amount``: seconds that it is stopped, the exit code, the messages of a flood."""

    pause: float  # seconds since the fault before it
    kind: Kind
    target: str
    amount: float = 0.0


def config(folder: Path) -> str:
    """A tree of two levels: five state actors, four agents, two of them below ``crew``."""
    parents = {"alpha": "agents", "beta": "agents", "gamma": "crew", "delta": "crew"}
    return CONFIG + "".join(
        _AGENT.format(name=name, root=ROOT, parent=parent, folder=folder)
        for name, parent in parents.items()
    )


def plan(seed: int, seconds: float) -> list[Fault]:
    """The faults of a run, one about every 0.1 s."""
    chance = random.Random(seed)
    agents = (*AGENTS, "delta")
    faults: list[Fault] = []
    at = 0.0
    while True:
        pause = chance.uniform(0.0, 0.2)
        at += pause
        if at > seconds:
            return faults
        match chance.choices(("kill", "above", "stop", "exit", "slow", "bad", "flood"), WEIGHTS)[0]:
            case "kill":
                fault = Fault(pause, "kill", chance.choice(ACTORS))
            case "above":
                fault = Fault(pause, "kill", chance.choice(OTHERS))
            case "stop":
                stopped = chance.uniform(0.0, 0.6)
                fault = Fault(pause, "stop", chance.choice((*ACTORS, *OTHERS)), stopped)
            case "exit":
                fault = Fault(pause, "exit", chance.choice(agents), chance.choice((0, 1)))
            case "slow":
                fault = Fault(pause, "slow", chance.choice(agents), chance.uniform(0.0, 0.3))
            case "bad":
                fault = Fault(pause, "bad", chance.choice(agents), chance.randint(1, 3))
            case _:
                fault = Fault(pause, "flood", chance.choice(agents), 500)
        faults.append(fault)


WEIGHTS: Final = (10, 2, 4, 3, 2, 2, 3)


class Busy(holdfast.Agent):
    """Writes each number it is told to a file; starts as the files in ``folder`` say."""

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self._folder = Path(folder)

    def on_start(self) -> None:
        path = self._folder / f"handled-{self.name}"
        self._handled = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        slow = self._folder / f"slow-{self.name}"
        with suppress(OSError, ValueError):
            threading.Event().wait(float(slow.read_text()))
        slow.unlink(missing_ok=True)
        for bad in sorted(self._folder.glob(f"bad-{self.name}-*")):
            bad.unlink()
            raise RuntimeError("a bad start")

    def on_receive(self, message: object) -> object:
        match message:
            case ["exit", int(code)]:
                os._exit(code)
            case ["count", int(number)]:
                # Of a length that fills a page exactly: there a kill could cut it.
                os.write(self._handled, f"{number:7}\n".encode())
        return message


def inflict(daemon: Daemon, fault: Fault, sent: Counter[str]) -> None:
    """Do it, if its target is there now; ``sent`` counts what was told to each agent."""
    name = fault.target
    match fault.kind:
        case "kill":
            _signal(daemon, name, signal.SIGKILL)
        case "stop":
            if (pidfd := _signal(daemon, name, signal.SIGSTOP, keep=True)) >= 0:
                timer = threading.Timer(fault.amount, _continue, (pidfd,))
                timer.start()
        case "exit":
            with suppress(DeliveryError):
                daemon.hub.ref(name).ask(["exit", int(fault.amount)], timeout=0.05)
        case "slow":
            (daemon.folder / f"slow-{name}").write_text(str(fault.amount))
            _signal(daemon, name, signal.SIGKILL)
        case "bad":
            for number in range(int(fault.amount)):
                (daemon.folder / f"bad-{name}-{number}").touch()
            _signal(daemon, name, signal.SIGKILL)
        case _:
            for _ in range(int(fault.amount)):
                daemon.hub.ref(name).tell(["count", sent[name]])
                sent[name] += 1


def _continue(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    os.close(pidfd)


def _signal(daemon: Daemon, name: str, number: int, *, keep: bool = False) -> int:
    """Signal a process of the tree by the name that it shows; its pidfd if that is to be kept."""
    for pid, shown, _ in processes(daemon.process.pid):
        if shown == name[:15]:
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, number)
                if keep:
                    return pidfd
                os.close(pidfd)
            return -1
    return -1


def processes(root: int) -> list[tuple[int, str, str]]:
    """Pid, shown name and state letter of everything below ``root``."""
    below: dict[int, list[tuple[int, str, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                head, _, rest = (entry / "stat").read_text().rpartition(")")
                state, parent = rest.split()[:2]
                shown = head.partition("(")[2]
                below.setdefault(int(parent), []).append((int(entry.name), shown, state))
    found: list[tuple[int, str, str]] = []
    waiting = [root]
    while waiting:
        for child in below.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child[0])
    return found


class Eye(threading.Thread):
    """Looks at the processes 20 times a second until it is told to stop."""

    def __init__(self, root: int) -> None:
        super().__init__(name="eye")
        self.violations: list[str] = []
        self.looks = 0
        self._root = root
        self._ends = threading.Event()
        self._zombies: dict[int, float] = {}  # since when, by pid

    def run(self) -> None:
        while not self._ends.wait(0.05):
            self._look()

    def stop(self) -> None:
        """No more looks."""
        self._ends.set()
        self.join()

    def _look(self) -> None:
        self.looks += 1
        now = time.monotonic()
        seen = processes(self._root)
        alive = Counter(name for _, name, state in seen if state not in "ZX")
        for name in ACTORS:
            if alive[name[:15]] > 1:
                self.violations.append(f"{alive[name[:15]]} processes of {name!r}: {seen}")
        zombies = {pid for pid, _, state in seen if state == "Z"}
        self._zombies = {pid: self._zombies.get(pid, now) for pid in zombies}
        for pid, since in self._zombies.items():
            if now - since > 1.0:
                self.violations.append(f"{pid} is a zombie for {now - since:.1f} s: {seen}")
