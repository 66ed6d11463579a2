"""The composition root of a child process: which actor it is, and what that actor is given.

Imports an actor only when a process becomes it: the zygote has the modules in memory, the root,
which imports this too, does not need them.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, assert_never, cast

import msgspec

from holdfast.actors.addresses import socket_path
from holdfast.actors.host import HostedActor, construct
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.pulse import Pulse
from holdfast.actors.recorder import LastLife
from holdfast.actors.vocabularies import takes_part
from holdfast.clock import Clock
from holdfast.errors import ConfigError
from holdfast.storage.ports import Reader
from holdfast.supervisors import bounds
from holdfast.supervisors.backends import database_opener, modules_of, reader_opener
from holdfast.supervisors.evidence import LAST_LIFE
from holdfast.supervisors.ports import PORT
from holdfast.supervisors.secrets import resolved, resolved_variables
from holdfast.supervisors.session_backends import front_of
from holdfast.supervisors.settings import (
    ACTORS,
    AgentSettings,
    CheckpointsSettings,
    ChildSettings,
    FilesSettings,
    GatewaySettings,
    LogSettings,
    QuerySettings,
    SessionsSettings,
    TrackerSettings,
    WriterSettings,
)
from holdfast.supervisors.spec import ChildStart, SupervisorSpec

__all__ = [
    "PRELOAD",
    "Present",
    "Records",
    "address_book",
    "imported",
    "make_actor",
    "preload_of",
]

# What the zygote imports: everything below, so that a fork is all that a restart costs.
PRELOAD: Final = (
    "apsw",
    "cachetools",
    "holdfast.actors.agent",
    "holdfast.actors.checkpoints",
    "holdfast.actors.files",
    "holdfast.actors.hub",
    "holdfast.actors.log",
    "holdfast.actors.query",
    "holdfast.actors.sessions",
    "holdfast.actors.tracker",
    "holdfast.actors.writer",
    "holdfast.storage.sqlite",
    "zstandard",
)


class Present:
    """What a child has been told to be: its table as it stands."""

    def __init__(self, run: SupervisorSpec | ChildSettings) -> None:
        self.run = run


def preload_of(start: ChildStart) -> tuple[str, ...]:
    """That, and what a backend of the supervisor's children needs: nobody else imports it."""
    children = start.run.children if isinstance(start.run, SupervisorSpec) else ()
    modules = PRELOAD + modules_of(start.environment.backend)
    for child in children:
        if isinstance(child.run, SessionsSettings) and child.run.backend == "redis":
            modules += ("redis",)
        if isinstance(child.run, GatewaySettings):
            modules += ("holdfast.actors.gateway",)
    return modules


class Records(msgspec.Struct, frozen=True):
    """The flight record that this life writes, and what the last one left."""

    pulse: Pulse
    last_life: LastLife | None
    present: Present

    @classmethod
    def taken_from(cls, start: ChildStart, pulse: Pulse, descriptors: dict[str, int]) -> Records:
        """Map the last life's record, if it is among ``descriptors``, and take it out of them."""
        last, last_life = descriptors.pop(LAST_LIFE, -1), None
        if last >= 0:
            last_life = LastLife(last, incarnation=start.last_incarnation, suspects=start.suspects)
            os.close(last)
        return cls(pulse, last_life, Present(start.run))


def make_actor(
    start: ChildStart,
    run: ChildSettings,
    *,
    listeners: dict[str, socket.socket],
    records: Records,
    clock: Clock,
    stack: ExitStack,
) -> HostedActor:
    """The actor that this process becomes, not started yet; ``stack`` is closed after it."""
    listener = listeners[start.name]
    mailbox = partial(
        Mailbox,
        name=start.name,
        incarnation=start.incarnation,
        clock=clock,
        listener=listener,
        address=address_book(start.environment.run_dir),
        mailbox_limit=run.mailbox_limit,
        recorder=records.pulse.recorder,
        last_life=records.last_life,
    )
    match run:
        case WriterSettings():
            actor = _writer(start, mailbox, clock)
        case QuerySettings() | LogSettings() | SessionsSettings() | CheckpointsSettings():
            actor = _reading_actor(start, run, mailbox, clock)
        case FilesSettings():
            actor = _files(start, run, mailbox, clock)
        case TrackerSettings():
            actor = _tracker(run, mailbox, clock)
        case GatewaySettings():
            actor = _gateway(run, mailbox, listener, clock)
        case AgentSettings():
            port = listeners.get(PORT)
            return _agent(start, run, mailbox, port, records, clock, stack)
        case _:
            assert_never(run)
    records.pulse.beat_in_mailbox(actor.mailbox)
    return actor


def address_book(run_dir: str) -> Callable[[str], str]:
    """Socket paths by actor name; short, however deep the run directory is."""
    folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return partial(socket_path, folder)


def _writer(start: ChildStart, mailbox: Callable[..., Mailbox], clock: Clock) -> HostedActor:
    from holdfast.actors.messages.writer import decode_request
    from holdfast.actors.writer import BATCH_LIMIT, WriterActor

    environment = start.environment
    return construct(
        WriterActor,
        mailbox=mailbox(decode=decode_request, batch_limit=BATCH_LIMIT, keeps_marks=False),
        open_database=database_opener(environment, clock),
        outage_timeout=environment.outage_timeout,
        sync_interval=environment.sync_interval,
        retention_period=environment.retention_period,
        clock=clock,
    )


def _reading_actor(
    start: ChildStart,
    run: QuerySettings | LogSettings | SessionsSettings | CheckpointsSettings,
    mailbox: Callable[..., Mailbox],
    clock: Clock,
) -> HostedActor:
    open_reader = reader_opener(start.environment)
    match run:
        case QuerySettings():
            from holdfast.actors.messages import query
            from holdfast.actors.query import QueryActor

            box = mailbox(decode=query.decode_request)
            bounded = reader_opener(start.environment, statement_timeout=run.statement_timeout)
            return construct(QueryActor, mailbox=box, open_reader=bounded, clock=clock)
        case LogSettings():
            return _log(start, run, mailbox, open_reader)
        case SessionsSettings():
            return _sessions(start, run, mailbox, open_reader, clock)
        case CheckpointsSettings():
            return _checkpoints(start, run, mailbox, open_reader)


def _checkpoints(
    start: ChildStart,
    run: CheckpointsSettings,
    mailbox: Callable[..., Mailbox],
    open_reader: Callable[[], Reader],
) -> HostedActor:
    from holdfast.actors.checkpoints import CheckpointsActor
    from holdfast.actors.messages import checkpoints

    return construct(
        CheckpointsActor,
        mailbox=mailbox(decode=checkpoints.decode_request, keeps_marks=False),
        open_reader=open_reader,
        boot=int(start.incarnation.partition(".")[0]),
        participants=[name for name in ACTORS if takes_part(name)],
        interval=run.interval,
        collect_timeout=run.collect_timeout,
        keep=run.keep,
    )


def _sessions(
    start: ChildStart,
    run: SessionsSettings,
    mailbox: Callable[..., Mailbox],
    open_reader: Callable[[], Reader],
    clock: Clock,
) -> HostedActor:
    from holdfast.actors.messages import sessions
    from holdfast.actors.sessions import SessionsActor

    return construct(
        SessionsActor,
        mailbox=mailbox(decode=sessions.decode_request, keeps_marks=False),
        open_reader=open_reader,
        front=front_of(
            run, daemon=start.environment.daemon, incarnation=start.incarnation, clock=clock
        ),
        limits=bounds.session_limits(run),
        incarnation=start.incarnation,
        clock=clock,
    )


def _log(
    start: ChildStart,
    run: LogSettings,
    mailbox: Callable[..., Mailbox],
    open_reader: Callable[[], Reader],
) -> HostedActor:
    from holdfast.actors.log import LogActor
    from holdfast.actors.messages import log

    return construct(
        LogActor,
        mailbox=mailbox(decode=log.decode_request, count_of=log.count_of, keeps_marks=False),
        open_reader=open_reader,
        capacity=run.capacity,
        daemon=start.environment.daemon,
        thresholds=bounds.thresholds(run),
    )


def _files(
    start: ChildStart, run: FilesSettings, mailbox: Callable[..., Mailbox], clock: Clock
) -> HostedActor:
    from holdfast.actors.files import FilesActor
    from holdfast.actors.messages import files

    environment = start.environment
    return construct(
        FilesActor,
        mailbox=mailbox(decode=files.decode_request),
        open_catalog=bounds.catalog_opener(environment, run),
        rotation=bounds.rotation(run),
        durability=environment.durability,
        sync_interval=environment.sync_interval,
        clock=clock,
    )


def _tracker(run: TrackerSettings, mailbox: Callable[..., Mailbox], clock: Clock) -> HostedActor:
    from holdfast.actors.messages import tracker
    from holdfast.actors.tracker import TrackerActor

    box = mailbox(decode=tracker.decode_request)
    return construct(TrackerActor, mailbox=box, limits=bounds.tracker_limits(run), clock=clock)


def _gateway(
    run: GatewaySettings, mailbox: Callable[..., Mailbox], listener: socket.socket, clock: Clock
) -> HostedActor:
    """At its address it speaks to clients, so that its mailbox has none."""
    from holdfast.actors.gateway import GatewayActor

    return construct(
        GatewayActor,
        mailbox=mailbox(listener=None),
        listener=listener,
        limits=bounds.gateway_limits(run),
        clock=clock,
    )


def _agent(
    start: ChildStart,
    run: AgentSettings,
    mailbox: Callable[..., Mailbox],
    port: socket.socket | None,
    records: Records,
    clock: Clock,
    stack: ExitStack,
) -> HostedActor:
    from holdfast.actors.agent import Agent, construct_agent
    from holdfast.actors.hub import Hub
    from holdfast.actors.outbox import OutboxLimits

    where = f"[agents.{start.name}]"
    # Before the variables are set: a reference means the daemon's own.
    options = cast(dict[str, Any], resolved(run.options, f"{where} options"))
    if run.listen:
        options["listener"] = port
    os.environ.update(resolved_variables(run.env, f"{where} env"))
    class_ = imported(run)
    limits = OutboxLimits(
        messages=run.outbox_messages,
        bytes=run.outbox_bytes,
        policy=run.outbox_policy,
        timeout=run.outbox_timeout,
    )
    box = mailbox(decode=msgspec.msgpack.decode, limits=limits)
    if not issubclass(class_, Agent):  # an actor that wants no hub
        actor = construct(class_, mailbox=box, **options)
        records.pulse.beat_in_mailbox(box, shows_life=actor._holdfast_shows_life)
        return actor
    hub = Hub(
        run_dir=Path(start.environment.run_dir),
        sender=f"{start.name}.hub",  # its references send as the actor itself
        incarnation=start.incarnation,
        source=f"agent/{start.name}",
        clock=clock,
        limits=limits,
    )
    records.pulse.beat_in_hub(hub, box)
    # What it emitted is committed before it ends, also when an exception ends it.
    stack.callback(lambda: hub.close(timeout=cast(AgentSettings, records.present.run).farewell))
    return construct_agent(class_, mailbox=box, hub=hub, name=start.name, options=options)


def imported(run: AgentSettings) -> type[HostedActor]:
    """The class that the config names.  Raises ConfigError, with what the import raised."""
    sys.path[:0] = [os.path.abspath(entry) for entry in run.python_path]
    module, _, name = run.target.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ConfigError(f"class = {run.target!r} cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, HostedActor):
        raise ConfigError(f"class = {run.target!r} is {found!r}: expected a holdfast.Agent")
    return found
