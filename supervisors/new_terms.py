"""Other terms for an actor that runs: what of its table it takes without another life.

Which keys those are stands in ``in_place``.  Nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never, cast

import msgspec
from loguru import logger

from holdfast.actors.host import HostedActor
from holdfast.actors.messages.lifeline import Reconfigure, Reconfigured
from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.supervisors import bounds
from holdfast.supervisors.backends import database_opener, reader_opener
from holdfast.supervisors.logs import set_log_level
from holdfast.supervisors.roles import Records
from holdfast.supervisors.settings import (
    AgentSettings,
    CheckpointsSettings,
    FilesSettings,
    GatewaySettings,
    LogSettings,
    QuerySettings,
    SessionsSettings,
    TrackerSettings,
    WriterSettings,
)
from holdfast.supervisors.spec import SupervisorSpec, Terms

if TYPE_CHECKING:
    from holdfast.actors.checkpoints import CheckpointsActor
    from holdfast.actors.files import FilesActor
    from holdfast.actors.gateway import GatewayActor
    from holdfast.actors.log import LogActor
    from holdfast.actors.query import QueryActor
    from holdfast.actors.sessions import SessionsActor
    from holdfast.actors.tracker import TrackerActor
    from holdfast.actors.writer import WriterActor
    from holdfast.supervisors.spec import Environment

__all__ = ["answer_new_terms", "decode_terms"]

decode_terms: Callable[[bytes], Terms] = msgspec.msgpack.Decoder(Terms).decode


def answer_new_terms(
    actor: HostedActor, message: Reconfigure, records: Records, clock: Clock
) -> Reconfigured:
    """Have ``actor`` be what the message says; an error is told, and changes nothing."""
    terms = decode_terms(message.terms)
    try:
        _take_on(actor, terms, clock)
    except HoldfastError as error:
        logger.error("the new settings cannot be taken on: {}", error)
        return Reconfigured(message.id, str(error) or type(error).__name__)
    assert not isinstance(terms.run, SupervisorSpec)
    actor.mailbox.receiver.limit = terms.run.mailbox_limit
    records.pulse.reconfigure(terms.heartbeat_interval)
    records.present.run = terms.run
    set_log_level(terms.environment.log_level)
    return Reconfigured(message.id)


def _take_on(actor: HostedActor, terms: Terms, clock: Clock) -> None:
    environment = terms.environment
    match terms.run:
        case WriterSettings():
            _writer(cast("WriterActor", actor), environment, clock)
        case QuerySettings() as run:
            opener = reader_opener(environment, statement_timeout=run.statement_timeout)
            cast("QueryActor", actor).reconfigure(opener)
        case LogSettings() as run:
            log = cast("LogActor", actor)
            log.reconfigure(capacity=run.capacity, thresholds=bounds.thresholds(run))
        case SessionsSettings() as run:
            cast("SessionsActor", actor).reconfigure(bounds.session_limits(run))
        case CheckpointsSettings() as run:
            cast("CheckpointsActor", actor).reconfigure(
                interval=run.interval, collect_timeout=run.collect_timeout, keep=run.keep
            )
        case FilesSettings() as run:
            _files(cast("FilesActor", actor), environment, run)
        case TrackerSettings() as run:
            cast("TrackerActor", actor).reconfigure(bounds.tracker_limits(run))
        case GatewaySettings() as run:
            cast("GatewayActor", actor).reconfigure(bounds.gateway_limits(run))
        case AgentSettings() | SupervisorSpec():
            pass
        case _:
            assert_never(terms.run)


def _writer(actor: WriterActor, environment: Environment, clock: Clock) -> None:
    actor.reconfigure(
        open_database=database_opener(environment, clock),
        payload_bytes=environment.payload_bytes,
        retention=environment.retention,
        retention_period=environment.retention_period,
        sync_interval=environment.sync_interval,
    )


def _files(actor: FilesActor, environment: Environment, run: FilesSettings) -> None:
    actor.reconfigure(
        open_catalog=bounds.catalog_opener(environment, run),
        max_bytes=run.max_bytes,
        rotation=bounds.rotation(run),
        sync_interval=environment.sync_interval,
    )
