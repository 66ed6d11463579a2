"""A daemon for the tests of reload: configs to write, and what to look at."""

from __future__ import annotations

from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, Final

import msgspec
import pytest

import holdfast
from holdfast.actors.messages import log
from holdfast.actors.messages.reload import Reloaded
from holdfast.errors import (
    ActorDied,
    ActorGone,
    ConfigError,
    ReloadError,
)
from holdfast.testing.events import Events
from tests.daemon import Daemon, ForkedDaemon

HERE: Final = Path(__file__).parent
BASE: Final = f"""
[daemon]
name = "test"
[supervisors.root]
max_restarts = 1000
[supervisors.state]
max_restarts = 1000
[supervisors.agents]
max_restarts = 1000
backoff = 0.05
[agents.idle]
class = "agents_for_tests:Idle"
python_path = ["{HERE}"]
"""


def agent(name: str, class_: str = "Idle", **keys: Any) -> str:
    """A table of another agent."""
    lines = [f"[agents.{name}]", f'class = "agents_for_tests:{class_}"']
    lines.append(f'python_path = ["{HERE}"]')
    for key, value in keys.items():
        if isinstance(value, dict):
            inner = ", ".join(f'{option} = "{text}"' for option, text in value.items())
            lines.append(f"{key} = {{ {inner} }}")
        else:
            lines.append(f"{key} = {value}")
    return "\n" + "\n".join(lines) + "\n"


def reload(daemon: Daemon, text: str, *, dry_run: bool = False) -> Reloaded:
    daemon.config_file.write_text(text)
    done: Reloaded = daemon.hub.supervision.reload(dry_run=dry_run, timeout=30.0)
    return done


def refused(daemon: Daemon, text: str) -> str:
    """What the error says of a reload that has to fail."""
    with pytest.raises((ConfigError, ReloadError)) as caught:
        reload(daemon, text)
    return str(caught.value)


def pids(daemon: ForkedDaemon) -> dict[str, int]:
    """Of all that is below the root, and the root."""
    found: dict[str, int] = {}
    waiting = [daemon.tree().root]
    while waiting:
        child = waiting.pop()
        assert child.pid is not None
        found[child.id] = child.pid
        waiting += child.children
    return found


def ring_of(daemon: Daemon) -> log.LogStats:
    return msgspec.convert(daemon.hub.ask("log", log.Stats()), log.LogStats)


def session_of(daemon: Daemon, id: str) -> Any:
    session = daemon.hub.sessions.get(id)
    assert session is not None
    return session


def actions(done: Reloaded) -> dict[str, str]:
    """What is done to whom, but for those to whom nothing is."""
    return {line.name: line.action for line in done.lines if line.action != "unchanged"}


class Load:
    """Emits numbered events, 1,000 a second, until it is left."""

    def __init__(self, daemon: Daemon, session: str) -> None:
        self._hub = holdfast.connect(daemon.run_dir)
        self._session = session
        self._enough = Flag()
        self._thread = Thread(target=self._run)
        self.count = 0

    def _run(self) -> None:
        while not self._enough.wait(0.01):
            for _ in range(10):
                self._hub.events.emit("load", {"n": self.count}, session=self._session)
                self.count += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()
        self._hub.flush()
        self._hub.close()

    def stored(self, daemon: Daemon) -> list[int]:
        """The numbers in the order in which they are in the database."""
        found = daemon.hub.events.query(session=self._session, limit=100_000)
        return [event.data["n"] for event in found]


def outcome(events: Events, trigger: str) -> dict[str, Any]:
    """The next one of those that were begun like this."""
    data: dict[str, Any] = events.next(where=lambda event: event.data["trigger"] == trigger).data
    return data


def answer_of(daemon: Daemon, name: str) -> str:
    """Of a life after one that has died, perhaps with the first question in hand."""

    def answered() -> str | None:
        try:
            return str(daemon.ref(name).ask("hello", timeout=10.0))
        except ActorGone:
            raise
        except ActorDied:
            return None

    return daemon.until(answered)
