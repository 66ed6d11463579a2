"""The sans-I/O core against a model, driven by hypothesis through whatever can happen to it.

Two senders and one receiver.  The model is a list of numbers for each sender, and what a writer
would keep: a mark and results.  It knows nothing of frames: how many messages one holds, and how
many acknowledgements there are, is not its business.
"""

from __future__ import annotations

import os
import random
from collections import Counter, deque

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from holdfast.actors.delivery import Delivery
from holdfast.actors.receiver import Receiver
from holdfast.actors.recorder import FlightRecorder, LastLife, create
from tests.actors.conversing import copied, receiver
from tests.actors.sender_model import OUTBOX, Sender

SENDERS = 2

who = st.integers(min_value=0, max_value=SENDERS - 1)
# Bytes carried each way in a row; the last is everything.
pieces = st.lists(st.sampled_from([1 << 20, 200, 40, 7, 1]), min_size=1, max_size=6)
seldom = st.integers(min_value=0, max_value=3).map(lambda n: n == 3)  # what sets all back
few = st.integers(min_value=1, max_value=8)


class Conversations(RuleBasedStateMachine):
    """Whatever may happen between two senders and a receiver."""

    @initialize(keeps_marks=st.booleans(), limit=st.sampled_from([1, 4, 40]))
    def start(self, keeps_marks: bool, limit: int) -> None:
        self.keeps_marks = keeps_marks
        self.limit = limit
        self.lives = 0
        self.record = -1  # of the present life of the receiver
        self.shared = self._receiver()
        self.senders = [
            Sender(f"s{n}", self.shared, keeps_marks=keeps_marks) for n in range(SENDERS)
        ]
        # In the receiver's memory, lost when it dies: what waits, and what is handled already.
        self.waiting: deque[Delivery] = deque()
        self.handled: list[Delivery] = []

    def _receiver(self) -> Receiver:
        last_life = None
        if self.lives:
            last_life = LastLife(self.record, incarnation=f"1.{self.lives}")
            os.close(self.record)
        self.lives += 1
        self.record = create("critic")
        return receiver(
            recorder=FlightRecorder(self.record),
            last_life=last_life,
            incarnation=f"1.{self.lives}",
            mailbox_limit=self.limit,
            keeps_marks=self.keeps_marks,
            count_of=lambda message: len(message[1]) if message[0] == "many" else 1,
        )

    def _of(self, delivery: Delivery) -> Sender:
        return self.senders[int(delivery.sender[1:])]

    # -- senders ------------------------------------------------------------------------------

    @rule(who=who, count=st.integers(min_value=1, max_value=8))
    def tell(self, who: int, count: int) -> None:
        for _ in range(count):
            if not self.senders[who].link.is_full:
                self.senders[who].tell()

    @rule(who=who, count=st.integers(min_value=1, max_value=20))
    def offer(self, who: int, count: int) -> None:
        for _ in range(count):
            if not self.senders[who].link.is_full:
                self.senders[who].offer()

    @rule(who=who)
    def command(self, who: int) -> None:
        if not self.senders[who].link.is_full:
            self.senders[who].command()

    @rule(who=who, idempotent=st.booleans())
    def ask(self, who: int, idempotent: bool) -> None:
        self.senders[who].ask(idempotent=idempotent)

    @rule(who=who, data=st.data())
    def abandon(self, who: int, data: st.DataObject) -> None:
        sender = self.senders[who]
        open_asks = [question for question, got in sender.outcomes.items() if not got]
        if open_asks:
            question = data.draw(st.sampled_from(open_asks))
            sender.link.abandon(sender.idents[question])
            sender.abandoned.add(question)

    # -- what is between ----------------------------------------------------------------------

    @rule(who=who, pieces=pieces)
    def move(self, who: int, pieces: list[int]) -> None:
        for size in pieces:
            self.waiting += self.senders[who].wire.move(size)

    @rule(who=who, pieces=pieces)
    def move_one_way(self, who: int, pieces: list[int]) -> None:
        for size in pieces:
            self.waiting += self.senders[who].wire.carry(size)

    @rule(pieces=pieces, count=few, which=st.randoms(use_true_random=False), broken=st.none() | who)
    def go_on(
        self, pieces: list[int], count: int, which: random.Random, broken: int | None
    ) -> None:
        """Some of everything that makes progress; then perhaps the connection of one breaks."""
        for size in (1 << 20, 1 << 20, *pieces):
            for sender in self.senders:
                self.waiting += sender.wire.move(size)
            self.handle(count)
        self.acknowledge(count, which)
        if broken is not None:
            self.cut(broken)

    @rule(who=who)
    def cut(self, who: int) -> None:
        """The connection breaks; what is on the way is lost, and there is another one at once."""
        self.senders[who].connect(self.shared)

    @rule(who=who, size=st.sampled_from([1 << 20, 200, 40, 7]), again=seldom)
    def copy(self, who: int, size: int, again: bool) -> None:
        """What came on a connection comes on another one, which ends the one there was."""
        sender = self.senders[who]
        data = sender.wire.gone if again else sender.before
        for joined in copied(data[:size], self.shared):
            joined.welcome(sender.highest, 0)
        if data[:size]:
            self.cut(who)

    @rule(who=who)
    def give_up_limbo(self, who: int) -> None:
        self.senders[who].link.give_up_limbo()

    # -- the receiver -------------------------------------------------------------------------

    @rule(count=few)
    def handle(self, count: int) -> None:
        while self.waiting and count:
            count -= 1
            delivery = self.waiting.popleft()
            sender = self._of(delivery)
            if delivery.kind == "joined":
                delivery.welcome(sender.highest, 0)
            else:
                self._take_in_hand(delivery)
                sender.handle(delivery)
                self.handled.append(delivery)

    def _take_in_hand(self, delivery: Delivery) -> None:
        """As the mailbox notes it."""
        assert self.shared.recorder is not None
        slot, kind = delivery.intake.slot, delivery.kind
        self.shared.recorder.begin(1.0, slot, kind, delivery.number, delivery.position, list)

    @rule(count=few, which=st.randoms(use_true_random=False))
    def acknowledge(self, count: int, which: random.Random) -> None:
        """Tells in their order, as ``done`` means all before it too; answers in any."""
        for _ in range(min(count, len(self.handled))):
            first_tell = next((each for each in self.handled if each.kind == "tell"), None)
            ready = [each for each in self.handled if each.kind != "tell" or each is first_tell]
            delivery = which.choice(ready)
            self.handled.remove(delivery)
            self._of(delivery).acknowledge(delivery)

    @rule(really=seldom, greets=st.none() | who)
    def die(self, really: bool, greets: int | None) -> None:
        """SIGKILL of the receiver: what it had is gone, and every connection breaks.

        Perhaps that of one has just broken, and its next Hello has arrived; no Welcome will.
        """
        if not really:
            return
        if greets is not None:
            self.cut(greets)
            self.senders[greets].wire.carry(1 << 20)
        self.shared = self._receiver()
        self.waiting.clear()
        self.handled.clear()
        for sender in self.senders:
            sender.connect(self.shared)
            sender.due = None

    # -- what always holds --------------------------------------------------------------------

    @invariant()
    def each_sender_is_right(self) -> None:
        for sender in self.senders:
            sender.check()

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.shared.granted <= self.limit + SENDERS
        here = Counter(delivery.sender for delivery in (*self.waiting, *self.handled))
        numbers: Counter[str] = Counter()
        for delivery in (*self.waiting, *self.handled):
            numbers[delivery.sender] += delivery.count
        for name in here:
            assert numbers[name] <= self.limit + 3 * OUTBOX

    def teardown(self) -> None:
        """Let everything take its course; then nothing may be missing."""
        for _ in range(10_000):
            self._turn()
            if not (self.waiting or self.handled) and all(map(self._is_quiet, self.senders)):
                break
        for sender in self.senders:
            sender.check_settled()
        os.close(self.record)

    def _turn(self) -> None:
        for sender in self.senders:
            self.waiting += sender.wire.move(1 << 20)
            self.waiting += sender.wire.move(1 << 20)
        self.handle(len(self.waiting))
        while self.handled:
            delivery = self.handled.pop(0)
            self._of(delivery).acknowledge(delivery)

    def _is_quiet(self, sender: Sender) -> bool:
        return sender.link.idle and sender.wire.is_quiet


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(40, 80), pytest.param(10_000, 120, marks=pytest.mark.slow)],
    ids=["short", "long"],
)
def test_no_loss_no_duplicate_no_disorder_and_bounded_memory_whatever_happens(
    examples: int, steps: int
) -> None:
    """A repeat is marked, and only after the death of a receiver that keeps marks in memory."""
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Conversations, settings=how)
