"""Small trees of real processes: started, asked, killed; every wait has a deadline."""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Literal, Self, TypeVar, get_args

import msgspec

from holdfast.actors.frames import FrameReader
from holdfast.actors.messages.supervisor import (
    ChildIs,
    Children,
    ChildStatus,
    GetTree,
    Request,
    StartChild,
    Tree,
    WhichChildren,
    decode_reply,
)
from holdfast.actors.wire import (
    Ask,
    Failure,
    Reply,
    decode_from_receiver,
    encode_frame,
)
from holdfast.supervisors.settings import AgentSettings
from holdfast.supervisors.spec import ChildSpec, Environment, SupervisorSpec
from tests.forkserver import fork
from tests.peers import greet

T = TypeVar("T")

TIMEOUT = 20.0  # seconds; a bound on failure, never the expected duration
PERIOD = 0.002  # seconds between two looks
HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
QUICK: Final[dict[str, Any]] = {  # the profile of tests: short waits, no chance
    "max_restarts": 3,
    "max_seconds": 5.0,
    "backoff": 0.05,
    "backoff_max": 0.4,
    "backoff_jitter": 0.0,
    "stable_after": 1.0,
}
_pause = Event().wait
LINE = re.compile(r"^(\S+ \S+) (\w+) +([\w-]+)\[(\d+)\] (.*)$")


def child(name: str, kind: str = "Idle", **policy: Any) -> ChildSpec:
    """A child that runs a class of agents_for_tests; ``options`` go to it, the rest is policy.

    ``kind`` "module:Class" is one of another module of this folder.
    """
    target = kind if ":" in kind else f"agents_for_tests:{kind}"
    run = AgentSettings(
        target=f"tests.supervisors.{target}",
        python_path=(str(PROJECT),),
        options=policy.pop("options", {}),
        handler_timeout=policy.pop("handler_timeout", 0.0),
    )
    return ChildSpec(id=name, run=run, where=f"[agents.{name}] in test.toml", **policy)


def table_of(kind: str = "Idle", **more: Any) -> dict[str, Any]:
    """What start_child takes for a class of agents_for_tests."""
    target = f"tests.supervisors.agents_for_tests:{kind}"
    return {"class": target, "python_path": [str(PROJECT)], **more}


def nested(name: str, *children: ChildSpec, **policy: Any) -> ChildSpec:
    """A supervisor below another; of the policy, what is about itself as a child goes there."""
    own = {key: policy.pop(key) for key in ("restart", "significant", "shutdown") if key in policy}
    spec = SupervisorSpec(children=children, **policy)
    return ChildSpec.supervisor(name, spec, where=f"[supervisors.{name}] in test.toml", **own)


def wait_for_end(pidfd: int, timeout: float = TIMEOUT) -> bool:
    """Whether the process ended in time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def let_through(gate: Path) -> None:
    """Let whoever waits for something to open the named pipe go on, and nobody wait again."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
        else:
            gate.unlink()
            return


def start_time(pid: int) -> str:
    """What tells two processes of one pid apart."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


class SmallTree:
    """The root of a spec in a process of its own."""

    def __init__(
        self,
        folder: Path,
        *children: ChildSpec,
        stop_within: float | Literal["children"] = "children",
        logging: dict[str, Any] = {},  # noqa: B006 - never changed
        **policy: Any,
    ) -> None:
        """``policy`` is the root's, and ``stop_within`` what its stop may take.

        ``logging`` are fields of the Environment.
        """
        self.folder = folder
        self.run_dir = folder / "run"
        self.spec = SupervisorSpec(children=children, **policy)
        self.environment = Environment(
            daemon="test",
            data_dir=str(folder / "data"),
            run_dir=str(self.run_dir),
            database=str(folder / "data" / "holdfast.db"),
            shutdown=stop_within,
            **logging,
        )
        self.log: list[str] = []
        self.said: list[str] = []  # what the log says, without time and level
        self._cursor = 0  # of ``said``: how far the test has read
        self._rest = b""
        self._asks = count()
        self._pidfds: dict[int, int] = {}  # of processes the test looks at
        self.spawn()

    def spawn(self) -> None:
        """Start the root, without waiting for anything."""
        spec = self.folder / "spec"
        spec.write_bytes(msgspec.msgpack.encode((self.spec, self.environment)))
        reading, writing = os.pipe()
        with open(os.devnull, "r+b") as null:
            self.process = fork(
                "tests.supervisors.root",
                spec,
                folder=PROJECT,
                environment={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
                streams=(null.fileno(), null.fileno(), writing),
            )
        os.close(writing)
        self.process.stderr = open(reading, "rb")  # noqa: SIM115 - closed with the tree

    def respawn(self) -> Self:
        """Start it again after its end, in the same directories."""
        self.process.wait(TIMEOUT)
        self._forget()
        self.spawn()
        return self

    # -- what it says -------------------------------------------------------------------------

    def expect(self, pattern: str, *, within: float = TIMEOUT) -> re.Match[str]:
        """The next line of the log that has the pattern."""
        deadline = time.monotonic() + within
        while True:
            while self._cursor < len(self.said):
                line = self.said[self._cursor]
                self._cursor += 1
                if found := re.search(pattern, line):
                    return found
            if not self._read(deadline):
                raise AssertionError(f"no {pattern!r} in\n" + "\n".join(self.log))

    def ready(self) -> Self:
        """Wait until every child is ready."""
        self.expect(r"^the tree is ready")
        return self

    def outcome(self) -> int:
        """The exit code, once it has ended and said all it had to say."""
        while self._read(time.monotonic() + TIMEOUT):
            pass
        return self.process.wait(TIMEOUT)

    def hear(self) -> list[str]:
        """All that the log says so far: whatever was written before the last answer."""
        while self._read(time.monotonic()):
            pass
        return self.said

    def kept(self, actor: str) -> list[str]:
        """The lines in an actor's file, whole."""
        path = Path(self.environment.log_folder, f"{actor}.log")
        return path.read_text().splitlines() if path.exists() else []

    def count(self, pattern: str) -> int:
        """How many lines so far have the pattern."""
        self.hear()
        return sum(1 for line in self.said if re.search(pattern, line))

    def _read(self, deadline: float) -> bool:
        """Read more of the log; False at its end.  Asserts that more comes in time."""
        assert self.process.stderr is not None
        wait = max(0.0, deadline - time.monotonic())
        if not select.select([self.process.stderr], [], [], wait)[0]:
            return False
        data = os.read(self.process.stderr.fileno(), 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode()
            self.log.append(text)
            found = LINE.match(text)
            self.said.append(found[5] if found else text)
        return bool(data)

    # -- what it answers ----------------------------------------------------------------------

    def ask(self, message: object, to: str = "root", *, timeout: float = TIMEOUT) -> Any:
        """The reply of an actor, over a connection of its own."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            sock.connect(str(self.run_dir / f"{to}.sock"))
            # A sender of its own: another connection of the same one would end this.
            greet(sock, to, f"test-{next(self._asks)}")
            sock.sendall(encode_frame(Ask(1, msgspec.Raw(_encode(message)))))
            reader = FrameReader()
            while True:
                data = sock.recv(65536)
                assert data, f"{to} hung up"
                for payload in reader.feed(data):
                    match decode_from_receiver(payload):
                        case Reply(body=body):
                            is_ours = to == "root" or isinstance(message, get_args(Request))
                            decode = decode_reply if is_ours else msgspec.msgpack.decode
                            return decode(bytes(body))
                        case Failure(text=text):
                            raise AssertionError(text)
                        case _:
                            pass

    def refusal(self, message: object, to: str = "root") -> str:
        """The error that an actor answers."""
        try:
            answer = self.ask(message, to)
        except AssertionError as error:
            return str(error)
        raise AssertionError(f"not refused: {answer}")

    def asking(self, message: object, to: str = "root") -> Future[Any]:
        """The reply to come, or its AssertionError."""
        future: Future[Any] = Future()

        def ask() -> None:
            try:
                future.set_result(self.ask(message, to))
            except (AssertionError, OSError) as error:
                future.set_exception(error)

        Thread(target=ask, daemon=True).start()
        return future

    def add(self, name: str, kind: str = "Idle", to: str = "root", **table: Any) -> ChildIs:
        """Another child of a supervisor, as start_child answers."""
        answer = self.ask(StartChild(name, table_of(kind, **table)), to)
        assert isinstance(answer, ChildIs)
        return answer

    def command(self, name: str, text: str) -> None:
        """Have an actor do what keeps it from answering."""
        with suppress(AssertionError, OSError):
            self.ask(text, name)

    def is_answering(self, name: str) -> bool:
        """Whether an actor that gives back what it is asked does so."""
        try:
            return bool(self.ask("are you there?", name) == "are you there?")
        except (AssertionError, OSError):  # it ended meanwhile
            return False

    def which(self, supervisor: str = "root") -> dict[str, ChildStatus]:
        """The children of a supervisor, by name."""
        answer = self.ask(WhichChildren(), supervisor)
        assert isinstance(answer, Children)
        return {status.id: status for status in answer.children}

    def tree(self) -> ChildStatus:
        """The root and all below it."""
        answer = self.ask(GetTree())
        assert isinstance(answer, Tree)
        return answer.root

    def until(self, condition: Callable[[], T | None]) -> T:
        """What ``condition`` says as soon as it is true."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := condition()):
            assert time.monotonic() < deadline, "\n".join(self.log)
            # Who is asked without a pause takes the time of those that are waited for.
            _pause(PERIOD)
        return value

    # -- what is done to it -------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """All processes of the tree by name, zygotes as ``zygote:SUPERVISOR``.

        A fork has the name of its parent until it takes one of its own: the parent counts.
        """
        found: dict[str, int] = {}
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            with suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                found.setdefault("root" if pid == self.process.pid else name, pid)
                below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                waiting += map(int, below)
        return found

    def watch(self, *pids: int) -> list[int]:
        """Descriptors that tell of the end of these processes; closed with the tree."""
        return [self._pidfds.setdefault(pid, os.pidfd_open(pid)) for pid in pids]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal a process by name; its pid."""
        pid = self.pids()[name]
        os.kill(pid, number)
        return pid

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal the root and wait for its end; the exit code."""
        self.process.send_signal(number)
        return self.outcome()

    def files(self) -> list[str]:
        """What is left in the directories, except what is to stay: boot counter and logs."""
        folders = (self.run_dir, self.folder / "data")
        names = [path.name for folder in folders for path in folder.iterdir()]
        return sorted(name for name in names if name not in ("boot", "log"))

    def close(self) -> None:
        """Stop what still runs and let go of everything."""
        try:
            if self.process.poll() is None:
                self.end()
        finally:
            self.process.kill()
            self.process.wait()
            self._forget()
        for pidfd in self._pidfds.values():
            os.close(pidfd)

    def _forget(self) -> None:
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._rest = b""


_encode = msgspec.msgpack.Encoder().encode
