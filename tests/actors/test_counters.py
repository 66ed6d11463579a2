"""What went astray is counted where it is noticed, and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import AskTimeoutError
from tests.actors.test_agents import ask, config
from tests.daemon import TIMEOUT, Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, config("one", "two")) as daemon:
        yield daemon


def test_a_late_reply_is_counted_by_the_program_that_gave_up_on_it(daemon: Daemon) -> None:
    """Scenario 31."""
    ref = daemon.hub.ref("one")
    assert ref.ask(["echo", 0], timeout=TIMEOUT) == 0
    with pytest.raises(AskTimeoutError):
        ref.ask(["wait", 0.5], timeout=0.2)
    assert daemon.hub.counters()["one"].late_replies == 0
    assert ref.ask(["echo", 1], timeout=TIMEOUT) == 1
    assert daemon.hub.counters()["one"].late_replies == 1

    async def program() -> int:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            await hub.ref("one").ask(["echo", 0], timeout=TIMEOUT)
            with pytest.raises(AskTimeoutError):
                await hub.ref("one").ask(["wait", 0.5], timeout=0.2)
            assert await hub.ref("one").ask(["echo", 1], timeout=TIMEOUT) == 1
            return hub.counters()["one"].late_replies

    assert asyncio.run(program()) == 1


def test_a_late_reply_to_an_agent_is_shown_in_the_tree(daemon: Daemon) -> None:
    """Scenario 31: by its own references, and by its hub."""
    assert ask(daemon, "one", "ask", ["two", ["echo", 0], TIMEOUT]) == 0
    assert ask(daemon, "one", "ask", ["two", ["wait", 0.5], 0.2]) == "AskTimeout"
    daemon.until(lambda: daemon.child("one").traffic.late_replies == 1)
    assert ask(daemon, "two", "echo", 1) == 1
    assert ask(daemon, "one", "ask_by_hub", ["two", ["echo", 0], TIMEOUT]) == 0
    assert ask(daemon, "one", "ask_by_hub", ["two", ["wait", 0.5], 0.2]) == "AskTimeout"
    daemon.until(lambda: daemon.child("one").traffic.late_replies == 2)
    assert daemon.child("two").traffic.late_replies == 0


def test_an_answer_to_a_program_that_has_gone_is_counted(daemon: Daemon, tmp_path: Path) -> None:
    """It is noticed where the agent looks at its connections meanwhile, as in an ask."""
    begun = tmp_path / "begun"
    assert ask(daemon, "one", "echo", 1) == 1
    with holdfast.connect(daemon.run_dir) as other:
        other.ref("one").ask(["echo", 0], timeout=TIMEOUT)
        assert daemon.child("one").traffic.senders == 2
        question = ["ask", ["two", ["touch_and_wait", [str(begun), 0.5]], TIMEOUT]]
        other.ref("one").ask(question, block=False)
        daemon.until(begun.exists)
    daemon.until(lambda: daemon.child("one").traffic.late_answers == 1)
    assert daemon.child("one").traffic.senders == 1
