"""The life of a forked child: what runs between the fork and the exit.

Its supervisor hears Ready or Failed on the lifeline, and sees the exit code.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec
from loguru import logger

from holdfast.actors.host import Errand, HostedActor, construct, run
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import (
    Below,
    Failed,
    FromParent,
    GetStatus,
    Hold,
    Preload,
    Ready,
    Reconfigure,
    Release,
    Settle,
    Stop,
)
from holdfast.actors.messages.supervisor import decode_request
from holdfast.actors.pulse import Pulse
from holdfast.clock import Clock, SystemClock
from holdfast.errors import ConfigError, StorageError
from holdfast.supervisors.checking import CHECK, run_check
from holdfast.supervisors.copier_words import COPIER
from holdfast.supervisors.launcher import LIFELINE
from holdfast.supervisors.lifeline import Lifeline, child_end
from holdfast.supervisors.limits import Reserve, apply_limits, is_out_of_memory, widen_descriptors
from holdfast.supervisors.linux import adopt_orphans, set_process_name
from holdfast.supervisors.listeners import Listeners
from holdfast.supervisors.lives import ACTOR, LIFE, RUN_DIR, Badge, life_below
from holdfast.supervisors.logs import log_to, set_log_level, sign_log
from holdfast.supervisors.new_terms import answer_new_terms
from holdfast.supervisors.output import Output, take_streams
from holdfast.supervisors.processes import Processes
from holdfast.supervisors.reports import Reports
from holdfast.supervisors.roles import PRELOAD, Records, address_book, make_actor, preload_of
from holdfast.supervisors.settings import AgentSettings
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.spec import (
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_TERMINATED,
    ChildStart,
    SupervisorSpec,
    Terms,
    zygote_name,
)
from holdfast.supervisors.supervision import Given, Supervision, Upward
from holdfast.supervisors.supervisor import SupervisorActor
from holdfast.supervisors.vitals import open_record, status_of
from holdfast.supervisors.zygote import Zygote

__all__ = ["fork_zygote", "run_child"]

LONGEST = 64 * 1024  # characters of a traceback; more would not fit a datagram

_decode_start = msgspec.msgpack.Decoder(ChildStart).decode


def fork_zygote(
    supervisor: str, *, preload: Sequence[str] = PRELOAD, own_session: bool = False
) -> Zygote:
    """The zygote of a supervisor's children; the root's has a session of its own."""
    name = zygote_name(supervisor)
    return Zygote(run_child, preload=preload, name=name, own_session=own_session)


def _processes(start: ChildStart, zygote: Zygote, mailbox: Mailbox, life: str) -> Processes:
    return Processes(
        mailbox=mailbox,
        zygote=zygote,
        fork_zygote=partial(fork_zygote, start.name, preload=preload_of(start)),
        signals=SignalPipe([signal.SIGCHLD]),
        life=life,
    )


def run_child(payload: bytes, descriptors: dict[str, int]) -> int:
    """Become the actor that ``payload`` describes, until it stops; the exit code."""
    if CHECK in descriptors or COPIER in descriptors:
        return _run_errand(payload, descriptors)
    take_streams(descriptors)
    start = _decode_start(payload)
    is_supervisor = isinstance(start.run, SupervisorSpec)
    badge = _put_on_badge(start)  # before the zygote, whose children wear it too
    # Before any socket object of its own, so that there is next to nothing to close.
    zygote = fork_zygote(start.name, preload=preload_of(start)) if is_supervisor else None
    signal.signal(signal.SIGTERM, _terminated)  # SIGINT is ignored since the zygote
    set_process_name(start.name)
    sign_log(start.name)
    set_log_level(start.environment.log_level)  # the zygote may be older
    lifeline = child_end(descriptors.pop(LIFELINE))
    clock = SystemClock()
    pulse = Pulse(open_record(descriptors), interval=start.heartbeat_interval, clock=clock)
    records = Records.taken_from(start, pulse, descriptors)
    listeners = {name: socket.socket(fileno=fd) for name, fd in descriptors.items()}
    actor: HostedActor | None = None
    reserve = Reserve(0)
    with ExitStack() as stack:
        stack.callback(badge.take_off)
        try:
            if zygote is not None:
                output = Output(start.name, start.environment, clock=clock)
                stack.callback(output.close)
                log_to(output.log)
                stack.callback(log_to, None)
                actor = _supervisor(start, lifeline, listeners, zygote, pulse, clock, stack, output)
            else:
                assert not isinstance(start.run, SupervisorSpec)
                reserve = apply_limits(start.run)
                actor = _leaf(start, lifeline, listeners, records, clock, stack)
            failure = run(actor)
        except Exception as error:  # of a constructor: pykka catches the others
            failure = error
        if failure is None:
            return actor.supervision.exit_code if isinstance(actor, SupervisorActor) else 0
        reserve.lift()
        cause = "memory" if is_out_of_memory(failure) else ""
        lifeline.send(Failed(_told(start, failure)[-LONGEST:], cause))
        if actor is not None and actor.mailbox.on_first_get is None:  # it was ready
            logger.opt(exception=failure).error("{} failed", start.name)
        return EXIT_CONFIG if isinstance(failure, ConfigError) else EXIT_FAILED


def _run_errand(payload: bytes, descriptors: dict[str, int]) -> int:
    """No child, but something that ends by itself; a copier imports what nobody else needs."""
    if CHECK in descriptors:
        return run_check(payload, descriptors)
    from holdfast.supervisors.copier import run_copier

    return run_copier(payload, descriptors)


def _told(start: ChildStart, failure: BaseException) -> str:
    """What its supervisor shows: all there is, but what a refused database needs no more."""
    if isinstance(failure, StorageError) and not isinstance(start.run, AgentSettings):
        return f"{failure}\n"
    return "".join(traceback.format_exception(failure))


def _put_on_badge(start: ChildStart) -> Badge:
    """Have what this process starts be told apart from what others do."""
    os.environ[ACTOR] = start.name
    os.environ[RUN_DIR] = start.environment.run_dir
    number = start.incarnation.rpartition(".")[2]
    return Badge(life_below(os.environ[LIFE], start.name, number))


def _leaf(
    start: ChildStart,
    lifeline: Lifeline[FromParent],
    listeners: dict[str, socket.socket],
    records: Records,
    clock: Clock,
    stack: ExitStack,
) -> HostedActor:
    assert not isinstance(start.run, SupervisorSpec)
    actor = make_actor(
        start, start.run, listeners=listeners, records=records, clock=clock, stack=stack
    )
    mailbox = actor.mailbox

    def reconfigure(message: Reconfigure) -> None:
        lifeline.send(answer_new_terms(actor, message, records, clock))

    def say_ready() -> None:
        # pykka empties the mailbox of an actor whose on_start failed, too.
        if not actor.actor_stopped.is_set():
            lifeline.send(Ready())

    def hear() -> list[object]:
        for message in _heard(lifeline):
            match message:
                case GetStatus(id=ident):
                    lifeline.send(status_of(mailbox, ident))
                case Reconfigure():
                    mailbox.deliver(Errand(partial(reconfigure, message)))
                case Stop():
                    mailbox.stop()
                case Settle() | Preload() | Hold() | Release():
                    pass  # of supervisors
        return []

    # A program that an agent forks would keep its peers from seeing the end of it.
    os.register_at_fork(after_in_child=mailbox.let_go)
    mailbox.on_first_get = say_ready
    mailbox.watch(lifeline.fileno(), hear)
    return actor


def _supervisor(
    start: ChildStart,
    lifeline: Lifeline[FromParent],
    listeners: dict[str, socket.socket],
    zygote: Zygote,
    pulse: Pulse,
    clock: Clock,
    stack: ExitStack,
    output: Output,
) -> SupervisorActor:
    assert isinstance(start.run, SupervisorSpec)
    adopt_orphans()
    widen_descriptors()
    addresses = Listeners(Path(start.environment.run_dir), listeners)
    stack.callback(addresses.close)
    mailbox = Mailbox(
        name=start.name,
        incarnation=start.incarnation,
        clock=clock,
        listener=listeners[start.name],
        address=address_book(start.environment.run_dir),
        decode=decode_request,
        recorder=pulse.recorder,
    )
    pulse.beat_in_mailbox(mailbox, "always")
    mailbox.watch(lifeline.fileno(), partial(_heard, lifeline))
    given = Given(
        name=start.name,
        incarnation=start.incarnation,
        spec=start.run,
        environment=start.environment,
        mailbox=mailbox,
        processes=_processes(start, zygote, mailbox, os.environ[LIFE]),
        listeners=addresses,
        output=output,
        reports=Reports.of(start.name, start.environment, mailbox, clock),
        upward=_upward(lifeline),
        heartbeat=start.heartbeat_interval,
        take_on=partial(_take_on, output, pulse),
        clock=clock,
        random=random.random,
    )
    return construct(
        SupervisorActor, mailbox=mailbox, supervision=Supervision(given), reply=lifeline.send
    )


def _take_on(output: Output, pulse: Pulse, terms: Terms) -> None:
    set_log_level(terms.environment.log_level)
    output.reconfigure(terms.environment)
    pulse.reconfigure(terms.heartbeat_interval)


def _upward(lifeline: Lifeline[FromParent]) -> Upward:
    return Upward(
        ready=lambda: lifeline.send(Ready()),
        failed=lambda text: lifeline.send(Failed(text[-LONGEST:])),
        below=lambda *added: lifeline.send(Below(*added)),
    )


def _heard(lifeline: Lifeline[FromParent]) -> list[FromParent]:
    """What the supervisor said; its death is this process's."""
    heard = lifeline.hear()
    if lifeline.ended:
        os._exit(EXIT_FAILED)
    return heard


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """A SIGTERM is not how a supervisor stops a child: somebody else wants it dead."""
    os._exit(EXIT_TERMINATED)
