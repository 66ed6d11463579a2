"""A real daemon for a test: asked, killed, paused, its events waited for.

Owns one hub, and what was seen of the events.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from holdfast.actors.hub import Event, Hub
from holdfast.actors.messages.supervisor import ChildStatus, GetTree, Tree
from holdfast.actors.ref import RemoteRef
from holdfast.client import connect
from holdfast.errors import DeliveryError, InvalidInputError
from holdfast.testing.config import PROFILE, Agents, Config, config_text, database_name
from holdfast.testing.daemon_process import TIMEOUT, DaemonProcess, tail
from holdfast.testing.events import Events, Types, Where, newest_seq
from holdfast.testing.faults.arming import Faults
from holdfast.testing.faults.plan import Fault
from holdfast.testing.processes import descendants, look

__all__ = ["Daemon", "StartDaemon"]


class Daemon(DaemonProcess):
    """A context manager: every child runs when it is entered, and nothing does when it is left.

    Leaving raises DaemonEndedError, an AssertionError, when the daemon had ended and the test has
    not waited for that (``stop``, ``kill("root")``, ``process.wait``), when it did not stop in
    order, or when it left processes behind, which are killed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        config: Config | None = None,
        *,
        agents: Agents | None = None,
        profile: Mapping[str, Any] = PROFILE,
        timeout: float = TIMEOUT,
        faults: Sequence[Fault] | None = None,
    ) -> None:
        """Write the config; nothing is started yet.

        ``folder`` is the daemon's working directory and holds all its files; ``timeout`` seconds
        bound every wait.  ``faults`` are armed from its start on, and make it one that ``faults``
        can be armed in; None leaves it as users have it.  Raises InvalidInputError for what no
        daemon could be started with.
        """
        text = config_text(config, agents, profile)
        super().__init__(Path(folder).absolute(), timeout=timeout, is_rigged=faults is not None)
        self.database = self.folder / "var" / "lib" / database_name(text)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(text, encoding="utf-8")
        if faults is not None:
            self.faults.arm(*faults)
        self._hub: Hub | None = None
        self._events: Events | None = None
        # Microseconds; events from before are of an earlier daemon.  0: there was none.
        self._since = time.time_ns() // 1000 if self.database.exists() else 0
        self._started: set[int] = set()  # pids that ran when the daemon became ready

    # -- its life -----------------------------------------------------------------------------

    def start(self) -> Self:
        """Start it and wait until every child is ready.  Raises DaemonEndedError."""
        self.spawn()
        return self.wait_ready()

    def wait_ready(self) -> Self:
        """Until the line that says so.  Raises DaemonEndedError."""
        super().wait_ready()
        self._started |= set(descendants(self.process.pid))
        return self

    def restart(self) -> Self:
        """Start it again in the same folder, after a stop unless it has ended.

        ``hub`` is another one then; ``next_event`` goes on where it was.
        """
        if self.process.poll() is None:
            self.stop()
        self._abandon_hub()
        self._unleash()
        return self.start()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._end()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._abandon_hub()
        if not (wrong := self._end()):
            return
        if exc is None:
            raise self._ended("\n".join(wrong))
        exc.add_note("\n".join([*wrong, tail(self._text())]))

    # -- what it says -------------------------------------------------------------------------

    @property
    def hub(self) -> Hub:
        """One hub for the test, ``holdfast.connect``; closed with this life of the daemon."""
        if self._hub is None:
            self._hub = connect(self.run_dir, source="test")
        return self._hub

    def ref(self, name: str) -> RemoteRef:
        """A reference to an actor: ``hub.ref``."""
        return self.hub.ref(name)

    def tree(self) -> Tree:
        """What the root says of everything below it."""
        self._check_running()
        try:
            tree = self.ref("root").ask(GetTree(), timeout=self.timeout)
        except DeliveryError:
            self._check_running()  # the better reason, if it is one
            raise
        assert isinstance(tree, Tree)
        return tree

    def child(self, name: str) -> ChildStatus:
        """One process of the tree, the root and other supervisors included."""
        waiting = [self.tree().root]
        known = []
        while waiting:
            child = waiting.pop()
            if child.id == name:
                return child
            known.append(child.id)
            waiting += child.children
        raise AssertionError(f"no child {name!r} in the tree, which has {', '.join(known)}")

    def pid(self, name: str) -> int:
        """The process of an actor; waits for one while it, or its supervisor, restarts."""
        return self.until(lambda: self._pid_now(name))

    def _pid_now(self, name: str) -> int | None:
        tree = self.tree().root
        try:
            return self.child(name).pid
        except AssertionError:
            # A supervisor that restarts has told nobody yet of its children.
            if all(child.state == "running" for child in tree.children):
                raise
            return None

    def wait_until_running(self, name: str, *, after: int | None = None) -> ChildStatus:
        """Until ``name`` runs, as another process than ``after`` if that is given."""

        def running() -> ChildStatus | None:
            child = self.child(name)
            return child if child.state == "running" and child.pid != after else None

        return self.until(running)

    @property
    def is_rigged(self) -> bool:
        """Whether faults can be armed in it."""
        return self._faults is not None

    @property
    def faults(self) -> Faults:
        """What can be armed in it.  Raises InvalidInputError unless it was made with ``faults``."""
        if self._faults is None:
            raise InvalidInputError("this daemon has no fault rig: make it with faults=[]")
        return self._faults

    # -- what is done to it -------------------------------------------------------------------

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal an actor's process and wait for its death; the pid it had."""
        pid, watch = self.until(lambda: self.watched(name))
        if pid == self.process.pid:
            self._remember()
        try:
            signal.pidfd_send_signal(watch, number)
            if not select.select([watch], [], [], self.timeout)[0]:
                raise AssertionError(f"{name} does not die of {signal.Signals(number).name}")
        finally:
            os.close(watch)
        if pid == self.process.pid:
            self.process.wait(self.timeout)
        return pid

    def watched(self, name: str) -> tuple[int, int] | None:
        """The actor's process with a descriptor of it; None when it has died meanwhile."""
        pid = self.pid(name)
        try:
            return pid, os.pidfd_open(pid)
        except ProcessLookupError:
            return None

    @contextmanager
    def paused(self, name: str) -> Iterator[int]:
        """SIGSTOP an actor's process, and SIGCONT it at the end of the block; its pid."""
        process = self.until(lambda: look(self.pid(name)))
        self._paused.add(process)
        os.kill(process.pid, signal.SIGSTOP)
        # The signal is on its way when kill() returns.
        self.until(lambda: (now := look(process.pid)) is None or now.state in "TtZX")
        try:
            yield process.pid
        finally:
            self._resume(process)

    def resume(self, name: str) -> None:
        """SIGCONT an actor's process, which stands since a ``Stop`` that was armed."""
        os.kill(self.pid(name), signal.SIGCONT)

    # -- its events ---------------------------------------------------------------------------

    def next_event(
        self,
        types: Types = "*",
        *,
        subject: str | None = None,
        session: str | None = None,
        source: str | None = None,
        where: Where | None = None,
        timeout: float | None = None,
    ) -> Event:
        """The earliest event since the start that matches and was not handed out yet.

        Waits for it; events that do not match stay for later calls.  See ``Events.next``.
        """
        self._check_running()
        if self._events is None:
            self._events = self._watcher(after=self._before_the_start())
        return self._events.next(
            types,
            subject=subject,
            session=session,
            source=source,
            where=where,
            timeout=self.timeout if timeout is None else timeout,
        )

    def watching(
        self, types: Types = (), *, session: str | None = None, source: str | None = None
    ) -> Events:
        """The events that are committed from now on and match; a block ends the watch.

        What ``hub`` emitted before is committed first, and so is not among them.
        """
        self._check_running()
        after = newest_seq(self.hub)
        return self._watcher(after=after, types=types, session=session, source=source)

    def _watcher(self, **filters: Any) -> Events:
        return Events(
            hub=lambda: self.hub,
            check=self._check_running,
            log_tail=lambda: tail(self._text()),
            started=self._started,
            **filters,
        )

    def _before_the_start(self) -> int:
        """The number of the last event in the folder from before this."""
        if not self._since:
            return 0
        first = self.hub.events.query(since=self._since, limit=1)
        return first[0].seq - 1 if first else newest_seq(self.hub)

    def _abandon_hub(self) -> None:
        if self._hub is not None:
            self._hub.abandon()
            self._hub = None


class StartDaemon(Protocol):
    """The fixture ``holdfast_daemon``; the arguments are those of ``Daemon``."""

    def __call__(
        self,
        config: Config | None = None,
        *,
        agents: Agents | None = None,
        profile: Mapping[str, Any] = PROFILE,
        timeout: float = TIMEOUT,
        faults: Sequence[Fault] | None = None,
    ) -> Daemon:
        """A daemon that is ready."""
