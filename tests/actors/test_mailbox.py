"""The mailbox of one process, with real sockets and a second thread that pushes."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from holdfast.actors.courier import Courier
from holdfast.actors.link import Link
from holdfast.actors.link_socket import LinkSocket
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.reactor import Reactor, Timer
from holdfast.actors.recorder import FlightRecorder, InHand, LastLife, Suspect, create, in_hand
from holdfast.actors.threaded import ThreadedDriver
from holdfast.actors.wire import Ask, encode_frame
from holdfast.clock import SystemClock
from tests.clock import ManualClock
from tests.daemon import TIMEOUT
from tests.peers import begin, hello, welcome

LATE = 5.0  # seconds that a wait takes which nobody ends


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """That of the actor in the test which is asked or told something."""
    path = tmp_path / "critic.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        sock.listen()
        yield sock
    path.unlink()


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ThreadedDriver]:
    driver = ThreadedDriver(run_dir=tmp_path, sender="test", incarnation="1.1", clock=SystemClock())
    yield driver
    driver.close()


def mailbox(folder: Path, name: str, **changes: Any) -> Mailbox:
    arguments: dict[str, Any] = {
        "name": name,
        "incarnation": "1.1",
        "clock": SystemClock(),
        "listener": None,
        "address": lambda to: str(folder / f"{to}.sock"),
    }
    return Mailbox(**arguments | changes)


@pytest.fixture
def critic(tmp_path: Path, listener: socket.socket, driver: ThreadedDriver) -> Iterator[None]:
    """An actor in another thread that answers what it is asked."""
    box = mailbox(tmp_path, "critic", listener=listener)

    def answer() -> None:
        while (envelope := box.get()).message != "end":
            if envelope.reply_to is not None:
                envelope.reply_to.set(envelope.message)
        box.close()

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    driver.send_tell("critic", "end")
    thread.join(TIMEOUT)


def pushed_while_it_polls(box: Mailbox, is_done: Callable[[], bool]) -> Callable[[], bool]:
    """``is_done``, which is false just before another thread makes it true by a push."""
    asked, holds = threading.Event(), threading.Event()

    def push() -> None:
        assert asked.wait(TIMEOUT)
        with box.outgoing.guard:
            holds.set()
            deadline = time.monotonic() + TIMEOUT
            while not is_done():
                assert time.monotonic() < deadline
                box.outgoing.push(0.001)

    threading.Thread(target=push, daemon=True).start()

    def look() -> bool:
        was_done = is_done()
        if not asked.is_set():
            asked.set()
            assert holds.wait(TIMEOUT)  # now it has the guard, which the next poll waits for
        return was_done

    return look


@pytest.mark.usefixtures("critic")
def test_an_ask_whose_reply_another_thread_reads_does_not_wait_for_more(tmp_path: Path) -> None:
    """The hub's thread pushes between the look for the reply and the wait for it."""
    box, replies = mailbox(tmp_path, "planner"), list[Any]()
    courier = Courier(box)
    assert courier.wait("critic", lambda: courier.is_up("critic"), TIMEOUT)
    courier.send_ask("critic", "question", replies.append, idempotent=True)
    began = time.monotonic()
    assert courier.wait("critic", pushed_while_it_polls(box, lambda: bool(replies)), LATE)
    assert time.monotonic() - began < LATE / 2
    box.close()


@pytest.mark.usefixtures("critic")
def test_a_message_that_another_thread_reads_does_not_wait_for_more(tmp_path: Path) -> None:
    """The hub's thread pushes between the handler's end and the wait for the next message."""
    box = mailbox(tmp_path, "planner")
    courier = Courier(box)
    assert courier.wait("critic", lambda: courier.is_up("critic"), TIMEOUT)
    box.link("critic").ask("question", context="mine")
    look = pushed_while_it_polls(box, lambda: not box.empty())

    def is_not_here_yet() -> None:
        assert not look()

    box.on_first_get = is_not_here_yet
    began = time.monotonic()
    box.after(LATE, "more")
    assert box.get().message.context == "mine"
    assert time.monotonic() - began < LATE / 2
    box.close()


def test_what_is_handled_behind_a_message_is_not_blamed_on_it(
    tmp_path: Path, listener: socket.socket, driver: ThreadedDriver
) -> None:
    """Or a timer that kills would make poison of the tell before it."""
    record = create("critic")
    box = mailbox(
        tmp_path,
        "critic",
        listener=listener,
        clock=ManualClock(),  # stands: between the two messages nobody looks at the sockets
        recorder=FlightRecorder(record),
    )
    driver.send_tell("critic", "tell")
    assert box.get().message == "tell"
    assert in_hand(record) is not None
    box.deliver("timer")
    assert box.get().message == "timer"
    assert in_hand(record) is None
    box.close()
    os.close(record)


@pytest.mark.parametrize("kind", ["ask", "batch"])
def test_what_comes_again_after_a_death_at_work_comes_singly(
    tmp_path: Path, listener: socket.socket, kind: Literal["ask", "batch"]
) -> None:
    """Together they would die as a batch: one of them alone would never kill twice in a row."""
    record = create("critic")
    suspect = Suspect(InHand("planner", "1", kind, 1), 1, "exit 1")
    last_life = LastLife(record, incarnation="1.0", suspects=[suspect])
    box = mailbox(tmp_path, "critic", listener=listener, batch_limit=10, last_life=last_life)
    with socket.socket(socket.AF_UNIX) as sender:
        sender.connect(str(tmp_path / "critic.sock"))
        sender.sendall(hello("critic", "planner"))
        assert box.pump(lambda: bool(select.select([sender], [], [], 0)[0]), 0.1)
        sender.sendall(begin(welcome(sender)))
        for ident, again in ((1, True), (2, True), (3, False), (4, False)):
            sender.sendall(encode_frame(Ask(ident, msgspec.Raw(b"\xc0"), again)))
        taken: list[list[int]] = []
        while sum(map(len, taken)) < 4:
            taken.append([item.number for item in box.get().message.items])
    assert taken == [[1], [2], [3, 4]]
    box.close()
    os.close(record)


def test_nobody_sends_for_a_mailbox_that_is_closed(tmp_path: Path) -> None:
    """A push that was due goes on to none, however much is left."""
    box, pushes = mailbox(tmp_path, "planner"), list[float]()
    box.outgoing.nudge = pushes.append
    Courier(box).send_tell("nobody", "message")
    assert len(pushes) == 1
    box.close()
    box.outgoing.push(0.001)
    assert len(pushes) == 1


class Timed(Reactor):
    """Remembers its timers."""

    def __init__(self) -> None:
        super().__init__(clock=ManualClock())
        self.timers: list[Timer] = []

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(super().later(delay, callback))
        return self.timers[-1]


def test_driving_a_link_to_nobody_leaves_one_retry(tmp_path: Path) -> None:
    reactor = Timed()
    link = Link(to="nobody", sender="planner", incarnation="1.1")
    wire = LinkSocket(link, address=str(tmp_path / "nobody.sock"), reactor=reactor)
    for _ in range(20):
        wire.drive()
    assert len([timer for timer in reactor.timers if timer.callback is not None]) == 1
    wire.close()
    reactor.close()


def test_closing_a_driver_ends_the_wait_of_another_thread(
    tmp_path: Path, listener: socket.socket, driver: ThreadedDriver
) -> None:
    """The actor is there and does not answer: the thread reads the socket itself."""
    box = mailbox(tmp_path, "critic", listener=listener)
    outcomes: list[bool | BaseException] = []

    def wait() -> None:
        driver.send_ask("critic", "question", lambda _: None, idempotent=True)
        try:
            outcomes.append(driver.wait("critic", lambda: False, LATE))
        except BaseException as error:
            outcomes.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert box.get().message == "question"
    wire = driver.open("critic")
    deadline = time.monotonic() + TIMEOUT
    while not wire.waiting:
        assert time.monotonic() < deadline
    driver.close()
    thread.join(LATE / 2)
    assert outcomes == [False]
    thread.join()
    box.close()
