"""The sans-I/O core against a model, driven by hypothesis through whatever can happen to it.

Two senders and one receiver.  The model is a list of numbers for each sender, and what a writer
would keep: a mark and results.  It knows nothing of frames: how many messages one holds, and how
many acknowledgements there are, is not its business.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.actors.delivery import Delivery
from holdfast.actors.failures import RemoteActorDied
from holdfast.actors.link import Link
from holdfast.actors.outbox import OutboxLimits
from holdfast.actors.receiver import Receiver
from tests.actors.conversing import Wire, copied, pack, receiver

encode = msgspec.msgpack.encode

OUTBOX = 30  # messages that a sender may have under way
SENDERS = 2

who = st.integers(min_value=0, max_value=SENDERS - 1)
# Bytes carried each way in a row; the last is everything.
pieces = st.lists(st.sampled_from([1 << 20, 200, 40, 7, 1]), min_size=1, max_size=6)
seldom = st.integers(min_value=0, max_value=3).map(lambda n: n == 3)  # what sets all back
few = st.integers(min_value=1, max_value=8)


def numbers_in(message: Any) -> list[int]:
    """The numbers a tell brings: one, or those that were offered one by one."""
    kind, content = message
    return content if kind == "many" else [content]


class Sender:
    """A link, its present connection, and what the model knows of both."""

    def __init__(self, name: str, shared: Receiver, *, keeps_marks: bool) -> None:
        self.link = Link(
            to="critic",
            sender=name,
            incarnation="1.1",
            pack=lambda items: encode(["many", msgspec.Raw(pack(items))]),
            limits=OutboxLimits(messages=OUTBOX),
        )
        self.keeps_marks = keeps_marks
        self.wire = Wire(self.link, shared)
        self.before = b""  # what came on the connection before that
        self.told = 0  # the newest number; what is numbered carries its number
        self.highest = 0  # the newest number that was ever handled
        self.due: int | None = None  # the next one in this life of the receiver, once one has come
        self.results: dict[int, Any] = {}  # of commands, as a writer keeps them
        self.answers: dict[int, list[Any]] = {}  # to commands, as the sender got them
        self.asked: dict[int, tuple[bool, int]] = {}  # idempotent?, numbers told before it
        self.idents: dict[int, int] = {}  # the link's names of asks
        self.outcomes: dict[int, list[Any]] = {}
        self.abandoned: set[int] = set()
        self.times_handled: Counter[int] = Counter()

    def connect(self, shared: Receiver) -> None:
        """The connection breaks, and there is another one."""
        self.before = self.wire.gone
        self.wire.cut()
        self.wire = Wire(self.link, shared)

    # -- the sender ---------------------------------------------------------------------------

    def tell(self) -> None:
        self.told += 1
        self.link.tell(["one", self.told])

    def offer(self) -> None:
        self.told += 1
        self.link.offer(encode(self.told))

    def command(self) -> None:
        self.told += 1
        got: list[Any] = []
        self.answers[self.told] = got
        self.link.command(["command", self.told], got.append)

    def ask(self, *, idempotent: bool) -> None:
        question = len(self.asked)
        self.asked[question] = idempotent, self.told
        got: list[Any] = []
        self.outcomes[question] = got
        ident = self.link.ask(["ask", question], got.append, idempotent=idempotent)
        self.idents[question] = ident

    # -- the receiver -------------------------------------------------------------------------

    def handle(self, delivery: Delivery) -> None:
        """What a handler, and the writer behind it, does; it is not acknowledged here."""
        if delivery.kind == "ask":
            self._handle_ask(delivery)
        elif delivery.kind == "command":
            self._handle_command(delivery)
        elif self.keeps_marks:
            self._handle_tell(delivery)
        else:
            for number in numbers_in(delivery.message):
                self._commit(number)

    def _handle_tell(self, delivery: Delivery) -> None:
        for number in numbers_in(delivery.message)[delivery.skip :]:
            due = self.due or number
            assert number == due, f"{number} came where {due} was due"
            assert number <= self.highest + 1, f"{number} came after {self.highest}: a gap"
            assert number > self.highest or delivery.redelivered, f"{number} again, not marked"
            self.highest = max(self.highest, number)
            self.due = number + 1

    def _commit(self, number: int) -> bool:
        """As the writer does: what is at or below the mark is passed over, a gap is refused."""
        assert number <= self.highest + 1, f"{number} came after {self.highest}: a gap"
        is_new = number > self.highest
        self.highest = max(self.highest, number)
        return is_new

    def _handle_command(self, delivery: Delivery) -> None:
        _, number = delivery.message
        if self._commit(number):
            self.results[number] = ["result of", number]
        else:
            assert delivery.redelivered, f"command {number} again, not marked"
        for answered in [known for known in self.results if known <= delivery.acked]:
            assert self.answers[answered], f"the result of {answered} was given up too early"
            del self.results[answered]

    def _handle_ask(self, delivery: Delivery) -> None:
        _, question = delivery.message
        idempotent, told_before = self.asked[question]
        assert self.highest >= told_before, "an ask overtook a tell"
        self.times_handled[question] += 1
        assert idempotent or self.times_handled[question] == 1, "asked twice"

    def acknowledge(self, delivery: Delivery) -> None:
        if delivery.kind == "ask":
            delivery.set(["answer to", delivery.message[1]])
        elif delivery.kind == "command":
            delivery.set(self.results.get(delivery.message[1], "given up"))
        else:
            delivery.done()

    # -- what always holds --------------------------------------------------------------------

    def check(self) -> None:
        assert 0 <= self.link.queued <= OUTBOX
        assert self.link.queued_bytes >= 0
        assert self.link.accepted == self.told
        assert self.told - self.link.queued <= self.highest, "acknowledged, and not handled"
        for number, got in self.answers.items():
            assert got in ([], [["result of", number]])
        for question, got in self.outcomes.items():
            self._check_outcome(question, got)

    def _check_outcome(self, question: int, got: list[Any]) -> None:
        if not got:
            return
        (outcome,) = got
        assert question not in self.abandoned
        if isinstance(outcome, RemoteActorDied):
            idempotent, _ = self.asked[question]
            assert not idempotent
            assert outcome.started or not self.times_handled[question]
        else:
            assert outcome == ["answer to", question]
            assert self.times_handled[question]

    def check_settled(self) -> None:
        """Everything has had its time: nothing is missing."""
        self.check()
        assert self.highest == self.told
        assert self.link.idle
        assert (self.link.queued, self.link.queued_bytes) == (0, 0)
        assert all(self.answers.values())
        unanswered = [question for question, got in self.outcomes.items() if not got]
        assert set(unanswered) <= self.abandoned


class Conversations(RuleBasedStateMachine):
    """Whatever may happen between two senders and a receiver."""

    @initialize(keeps_marks=st.booleans(), limit=st.sampled_from([1, 4, 40]))
    def start(self, keeps_marks: bool, limit: int) -> None:
        self.keeps_marks = keeps_marks
        self.limit = limit
        self.lives = 0
        self.shared = self._receiver()
        self.senders = [
            Sender(f"s{n}", self.shared, keeps_marks=keeps_marks) for n in range(SENDERS)
        ]
        # In the receiver's memory, lost when it dies: what waits, and what is handled already.
        self.waiting: deque[Delivery] = deque()
        self.handled: list[Delivery] = []

    def _receiver(self) -> Receiver:
        self.lives += 1
        return receiver(
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

    # Only those whose marks the writer keeps are sent commands.
    @precondition(lambda self: not self.keeps_marks)
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
                sender.handle(delivery)
                self.handled.append(delivery)

    @rule(count=few, which=st.randoms(use_true_random=False))
    def acknowledge(self, count: int, which: random.Random) -> None:
        """Tells in their order, as ``done`` means all before it too; answers in any."""
        for _ in range(min(count, len(self.handled))):
            first_tell = next((each for each in self.handled if each.kind == "tell"), None)
            ready = [each for each in self.handled if each.kind != "tell" or each is first_tell]
            delivery = which.choice(ready)
            self.handled.remove(delivery)
            self._of(delivery).acknowledge(delivery)

    @rule(really=seldom)
    def die(self, really: bool) -> None:
        """SIGKILL of the receiver: what it had is gone, and every connection breaks."""
        if not really:
            return
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
    [(70, 80), pytest.param(10_000, 120, marks=pytest.mark.slow)],
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
