"""Named subscribers: what was acknowledged does not come again, what was not does."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from holdfast import aio
from holdfast.actors.subscriber_calls import Subscriber
from holdfast.errors import Conflict, InvalidInputError, UnacknowledgedError
from tests.actors.consuming import NAME, consumer
from tests.actors.firing import CONFIG, chance, committed, fire, wait_for
from tests.actors.sending import orders, senders
from tests.actors.test_subscriptions import SMALL_RING
from tests.daemon import TIMEOUT, Daemon

COUNT = 2_500  # events of each of two senders
EVERY = 50  # events acknowledged together
LIVES = 5  # of the consumer


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Tests use names and types of their own."""
    with Daemon(tmp_path_factory.mktemp("daemon"), SMALL_RING) as daemon:
        yield daemon


def emit(daemon: Daemon, type: str, count: int) -> None:
    for n in range(count):
        daemon.hub.events.emit(type, n)
    daemon.hub.flush()


def status_of(daemon: Daemon, name: str) -> Subscriber:
    (found,) = [each for each in daemon.hub.events.subscribers() if each.name == name]
    return found


def test_a_killed_consumer_goes_on_behind_what_it_had_acknowledged(tmp_path: Path) -> None:
    """While ``log``, ``writer`` and ``query`` are killed too."""
    dice = chance()
    lives: list[list[int]] = []
    acked = 0
    with (
        Daemon(tmp_path, SMALL_RING) as daemon,
        committed(daemon) as progress,
        senders(daemon, orders(2, count=COUNT)) as started,
    ):
        firing = threading.Thread(target=_fire, args=(daemon, dice.randrange(1 << 30)))
        firing.start()
        for _ in range(LIVES):
            with consumer(daemon, every=EVERY) as process:
                process.read(dice.randrange(100, 800))
                process.kill()
                lives.append(process.handled)
                assert process.handled[0] > acked
                acked = max(acked, process.acked)
        firing.join(TIMEOUT)
        for sender in started:
            assert sender.finish().pending == 0
        assert progress() >= 2 * COUNT
        stored = numbers(daemon)
        done = len([seq for seq in stored if seq <= acked])
        with consumer(daemon, every=1) as process:
            process.read(2 * COUNT - done - EVERY)
            process.kill()
            lives.append(process.handled)
    for life in lives:
        assert life == sorted(set(life)), "twice, or out of order, in one life"
    handled = set().union(*lives)
    reached = max(handled)
    assert handled == {seq for seq in stored if seq <= reached}


def _fire(daemon: Daemon, seed: int) -> None:
    with committed(daemon) as progress:
        fire(
            daemon,
            chance=random.Random(seed),
            victims=[["log"], ["writer"], ["query"]],
            at_a_step=["writer"],
            progress=progress,
            total=2 * COUNT,
            kills=4,
        )


def numbers(daemon: Daemon) -> list[int]:
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
        rows = viewer.execute("SELECT seq FROM events WHERE type = 'n' ORDER BY seq").fetchall()
    return [seq for (seq,) in rows]


def test_acknowledgements_are_committed_each_once_across_deaths_of_the_writer(
    tmp_path: Path,
) -> None:
    with Daemon(tmp_path, CONFIG) as daemon:
        emit(daemon, "n", 300)
        subscription = daemon.hub.events.subscribe(types="n", name="a", start="first")
        for count, event in enumerate(islice(subscription, 300)):
            subscription.ack(event)
            assert status_of(daemon, "a").acked == event.seq
            if count % 60 == 30:
                daemon.kill("writer")


def test_one_that_takes_the_name_over_fences_the_other(daemon: Daemon) -> None:
    emit(daemon, "fence", 10)
    events = daemon.hub.events
    first = events.subscribe(types="fence", name="fence", start="first")
    second_event = [next(first), next(first)][1]
    first.ack(second_event)
    second = events.subscribe(types="fence", name="fence", start="now")  # it has begun already
    third_event = next(first)
    with pytest.raises(Conflict, match="taken over"):
        first.ack(third_event)
    assert next(second) == third_event
    second.ack(third_event)
    assert status_of(daemon, "fence").generation == 2


def test_a_removed_subscriber_is_told_so_and_its_name_begins_anew(daemon: Daemon) -> None:
    emit(daemon, "removed", 3)
    events = daemon.hub.events
    subscription = events.subscribe(types="removed", name="removed", start="first")
    event = next(subscription)
    assert events.unsubscribe("removed") is True
    assert events.unsubscribe("removed") is False
    with pytest.raises(Conflict, match="removed"):
        subscription.ack(event)
    again = events.subscribe(types="removed", name="removed", start="first")
    assert next(again) == event


def test_another_filter_is_refused_unless_it_is_meant(daemon: Daemon) -> None:
    events = daemon.hub.events
    events.subscribe(types=["f", "g"], name="filter")
    events.subscribe(types=("g", "f", "g"), name="filter")  # the same
    with pytest.raises(InvalidInputError, match="with the filter"):
        events.subscribe(types="f", name="filter")
    events.subscribe(types="f", session="s", name="filter", change_filter=True)
    assert status_of(daemon, "filter").filter == {"types": ["f"], "session": "s"}


def test_only_what_was_handed_out_can_be_acknowledged(daemon: Daemon) -> None:
    emit(daemon, "ack", 3)
    subscription = daemon.hub.events.subscribe(types="ack", name="ack", start="first")
    event = next(subscription)
    for wrong in (event.seq + 1, -1, True, "1", None):
        with pytest.raises(InvalidInputError, match="ack"):
            subscription.ack(wrong)  # type: ignore[arg-type]  # the point
    subscription.ack(event)
    subscription.ack(event.seq - 1)  # less than before: no change
    assert status_of(daemon, "ack").acked == event.seq
    with pytest.raises(InvalidInputError, match="name"):
        daemon.hub.events.subscribe().ack(0)


def test_an_acknowledgement_that_does_not_wait_is_committed_at_the_end(daemon: Daemon) -> None:
    emit(daemon, "late", 5)
    with daemon.hub.events.subscribe(types="late", name="late", start="first") as subscription:
        for event in islice(subscription, 5):
            subscription.ack(event, wait=False)
        assert status_of(daemon, "late").acked == 0
    assert status_of(daemon, "late").acked == event.seq


def test_no_more_is_out_than_was_allowed(daemon: Daemon) -> None:
    emit(daemon, "full", 10)
    events = daemon.hub.events
    subscription = events.subscribe(
        types="full", name="full", start="first", max_in_flight=3, timeout=0.3
    )
    out = [next(subscription) for _ in range(3)]
    with pytest.raises(UnacknowledgedError) as caught:
        next(subscription)
    assert (caught.value.name, caught.value.in_flight) == ("full", 3)
    subscription.ack(out[1])
    assert status_of(daemon, "full").acked == out[1].seq
    assert [next(subscription).data for _ in range(2)] == [3, 4]


def test_who_waits_for_room_goes_on_when_another_thread_acknowledges(daemon: Daemon) -> None:
    emit(daemon, "room", 2)
    subscription = daemon.hub.events.subscribe(
        types="room", name="room", start="first", max_in_flight=1
    )
    event = next(subscription)
    came: list[int] = []
    waiting = threading.Thread(target=lambda: came.append(next(subscription).data))
    waiting.start()
    subscription.ack(event)
    waiting.join(TIMEOUT)
    assert came == [1]


def test_what_nobody_asked_for_holds_no_subscriber_back(daemon: Daemon) -> None:
    """Or retention would wait for ever for one whose events are rare."""
    subscription = daemon.hub.events.subscribe(types="rare", name="rare", timeout=2.0)
    waiting = threading.Thread(target=lambda: list(subscription))
    waiting.start()
    emit(daemon, "noise", 50)
    wait_for(lambda: int(status_of(daemon, "rare").lag == 0), 1, look=20)
    subscription.close()
    waiting.join(TIMEOUT)
    assert not waiting.is_alive()


def test_a_name_is_kept_by_asyncio_programs_too(daemon: Daemon) -> None:
    emit(daemon, "loop", 6)

    async def main() -> None:
        async with aio.connect(daemon.run_dir) as hub:
            events = hub.events
            async with events.subscribe(
                types="loop", name="loop", start="first", max_in_flight=2, timeout=0.3
            ) as first:
                assert [(await anext(first)).data for _ in range(2)] == [0, 1]
                with pytest.raises(UnacknowledgedError):
                    await anext(first)
                await first.ack(first.position)
                event = await anext(first)
                waiting = asyncio.create_task(anext(first))
                await asyncio.wait([waiting], timeout=0)
                await first.ack(event, wait=False)
                assert (await waiting).data == 3
            second = await events.subscribe(types="loop", name="loop")
            assert (await anext(second)).data == 3
            with pytest.raises(Conflict):
                await first.ack(first.position)
            assert [each.name for each in await events.subscribers() if each.name == "loop"]
            assert await events.unsubscribe("loop")

    asyncio.run(main())


def test_a_position_in_the_future_is_refused(daemon: Daemon) -> None:
    with pytest.raises(InvalidInputError, match="newest event"):
        daemon.hub.events.subscribe(name="future", start=10**9)
    assert NAME not in {each.name for each in daemon.hub.events.subscribers()}
