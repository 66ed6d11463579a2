"""What is broken when: drawn from a seed alone, printed, saved and run again.

When a step lands depends on the machine; what is promised does not.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from holdfast.errors import ConfigError
from holdfast.testing.chaos.client import AGENTS
from holdfast.testing.faults.failpoints import POINTS

__all__ = ["ACTORS", "PROFILES", "ROUND", "STATE", "Profile", "Schedule", "Step", "draw", "load"]

ROUND: Final = 30.0  # seconds of faults; then everything has to come to rest and is checked
LONGEST_PAUSE: Final = 0.24  # seconds between two steps: eight of them in a second

STATE: Final = ("writer", "query", "log", "sessions", "checkpoints", "files", "tracker")
ACTORS: Final = (*STATE, *AGENTS)
ABOVE: Final = ("state", "agents", "crew", "zygote:state", "zygote:agents", "zygote:root")

Profile = Literal["kill", "power", "disk", "net", "all"]
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)
Do = Literal[
    "kill",  # SIGKILL to ``to``
    "root",  # SIGKILL to the root, which is started again
    "point",  # ``to`` kills itself at failpoint ``detail``, the ``amount``th time it passes it
    "stop",  # SIGSTOP to ``to``, SIGCONT ``seconds`` later
    "exit",  # the agent ``to`` ends with the code ``amount``
    "slow",  # its next start takes ``seconds``; it is killed
    "bad",  # its next ``amount`` starts fail; it is killed
    "flood",  # ``amount`` messages to the agent ``to`` at once
    "client",  # SIGKILL to a client, which loses its outbox; another life of it begins
    "disk",  # for ``seconds`` ``detail`` is what happens to SQLite's ``to``: "ioerr sync"
    "net",  # for ``seconds`` ``detail`` happens to connections of ``to``: "delay up"
    "clock",  # for ``seconds`` the wall clock of all processes is ``amount`` seconds off
    "power",  # the power fails: everything dies, what was not synced is lost; all starts again
]


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault, ``pause`` seconds after the one before it."""

    pause: float
    do: Do
    to: str = ""
    seconds: float = 0.0
    amount: int = 0
    detail: str = ""

    def __str__(self) -> str:
        parts = [self.do, self.to, self.detail]
        parts.append(f"{self.seconds:.3f} s" if self.seconds else "")
        parts.append(str(self.amount) if self.amount else "")
        return f"+{self.pause:.3f} {' '.join(filter(None, parts))}"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run; a round is a daemon with a new database."""

    seed: int
    profile: Profile
    rounds: list[list[Step]]

    def save(self, path: Path) -> None:
        """As JSON, a line for each round."""
        encode = msgspec.json.encode
        rounds = b",\n".join(map(encode, self.rounds))
        head = b'{"seed":%d,"profile":%s,"rounds":[\n' % (self.seed, encode(self.profile))
        path.write_bytes(head + rounds + b"\n]}\n")


def load(path: Path) -> Schedule:
    """A schedule that was saved.  Raises ConfigError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Schedule)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: {error}: expected a schedule that chaos has saved") from None


def draw(seed: int, *, minutes: float, profile: Profile) -> Schedule:
    """The same for the same seed and profile; a longer one begins with the shorter one."""
    seconds = minutes * 60.0
    count = max(1, math.ceil(seconds / ROUND))
    length = seconds / count
    rounds = [
        _round(random.Random(f"{seed} {profile} {number}"), length, profile)
        for number in range(count)
    ]
    return Schedule(seed=seed, profile=profile, rounds=rounds)


_WEIGHTS: Final[dict[Profile, dict[Do, float]]] = {
    "kill": {
        "kill": 60,
        "point": 20,
        "stop": 6,
        "client": 3,
        "exit": 3,
        "slow": 2,
        "bad": 2,
        "flood": 2,
        "root": 1,
    },
    "net": {"net": 60, "kill": 12, "stop": 3, "client": 2, "flood": 2},
    "disk": {"disk": 40, "kill": 20, "point": 8, "client": 2, "flood": 2, "root": 1},
    "power": {"kill": 20, "point": 10, "client": 2, "power": 1.5},
    "all": {
        "kill": 30,
        "point": 14,
        "net": 14,
        "disk": 12,
        "stop": 5,
        "clock": 3,
        "client": 3,
        "exit": 2,
        "slow": 2,
        "bad": 2,
        "flood": 2,
        "root": 1,
    },
}


def _round(chance: random.Random, seconds: float, profile: Profile) -> list[Step]:
    kinds = list(_WEIGHTS[profile])
    weights = list(_WEIGHTS[profile].values())
    steps: list[Step] = []
    at = 0.0
    while True:
        pause = round(chance.uniform(0.0, LONGEST_PAUSE), 3)
        at += pause
        if at > seconds:
            return steps
        (do,) = chance.choices(kinds, weights)
        steps.append(_MAKERS[do](chance, pause))


def _kill(chance: random.Random, pause: float) -> Step:
    names = ACTORS if chance.random() < 0.85 else ABOVE
    return Step(pause=pause, do="kill", to=chance.choice(names))


def _point(chance: random.Random, pause: float) -> Step:
    point = chance.choice(_REACHED)
    part = point.partition(".")[0]
    to = chance.choice(_AT.get(part, ACTORS))
    return Step(pause=pause, do="point", to=to, detail=point, amount=chance.randint(1, 3))


# Who passes the points of which part; of the others, any actor.  The root's are passed by "root"
# steps, and a migration is over when a round begins.
_AT: Final = {
    "writer": ("writer",),
    "retention": ("writer",),
    "log": ("log",),
    "checkpoints": ("checkpoints", "writer"),
    "sessions": ("sessions",),
    "files": ("files",),
    "supervisor": ("state", "agents", "crew"),
    "zygote": ("state:zygote", "agents:zygote"),
}
_REACHED: Final = tuple(
    point.name for point in POINTS if point.name.partition(".")[0] not in ("root", "migration")
)


def _stop(chance: random.Random, pause: float) -> Step:
    """Now and then for longer than ``heartbeat_timeout``."""
    seconds = round(chance.expovariate(3.0), 3)
    return Step(pause=pause, do="stop", to=chance.choice((*ACTORS, *ABOVE)), seconds=seconds)


def _agent(do: Do, **ranges: tuple[int, int]) -> Callable[[random.Random, float], Step]:
    def make(chance: random.Random, pause: float) -> Step:
        amount = chance.randint(*ranges["amount"]) if "amount" in ranges else 0
        seconds = round(chance.uniform(*ranges["seconds"]), 3) if "seconds" in ranges else 0.0
        return Step(pause=pause, do=do, to=chance.choice(AGENTS), seconds=seconds, amount=amount)

    return make


def _alone(do: Do) -> Callable[[random.Random, float], Step]:
    return lambda _chance, pause: Step(pause=pause, do=do)


def _disk(chance: random.Random, pause: float) -> Step:
    kind = chance.choice(
        ("full write", "ioerr write", "ioerr sync", "ioerr read", "slow sync", "slow write")
    )
    to = "*-wal" if chance.random() < 0.5 else "*"
    seconds = round(chance.uniform(0.02, 0.4), 3)
    return Step(pause=pause, do="disk", to=to, detail=kind, seconds=seconds)


def _net(chance: random.Random, pause: float) -> Step:
    does = chance.choice(("delay", "split", "duplicate", "reset", "blackhole"))
    way = chance.choice(("up", "down", "both"))
    seconds = round(chance.uniform(0.01, 0.3), 3)
    to = chance.choice(ACTORS)
    return Step(pause=pause, do="net", to=to, detail=f"{does} {way}", seconds=seconds)


def _clock(chance: random.Random, pause: float) -> Step:
    amount = chance.choice((-3_600, -60, 60, 3_600))
    seconds = round(chance.uniform(0.1, 2.0), 3)
    return Step(pause=pause, do="clock", amount=amount, seconds=seconds)


_MAKERS: Final[dict[Do, Callable[[random.Random, float], Step]]] = {
    "kill": _kill,
    "root": _alone("root"),
    "point": _point,
    "stop": _stop,
    "exit": _agent("exit", amount=(0, 1)),
    "slow": _agent("slow", seconds=(0, 1)),
    "bad": _agent("bad", amount=(1, 3)),
    "flood": _agent("flood", amount=(200, 1_000)),
    "client": _alone("client"),
    "disk": _disk,
    "net": _net,
    "clock": _clock,
    "power": _alone("power"),
}
