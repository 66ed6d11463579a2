"""The calls about checkpoints of the daemon as a whole.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.checkpoint_keeping import CheckpointInfo, list_infos
from holdfast.actors.messages import checkpoints
from holdfast.actors.messages.checkpoints import Created, Restored
from holdfast.storage.checkpoint_records import DAEMON

__all__ = ["create_daemon_checkpoint", "list_daemon_checkpoints", "restore_daemon_checkpoint"]


def create_daemon_checkpoint(*, timeout: float = 60.0) -> Steps[Created]:
    """Ask every participant for its part and keep them together; who is in it, and who is not.

    Asked again when the actor dies meanwhile, so that there may be one more than was asked for.
    """
    reply: Created = yield Ask("checkpoints", checkpoints.Create(), timeout)
    return reply


def restore_daemon_checkpoint(
    id: int, *, dry_run: bool = False, only: Sequence[str] = (), timeout: float = 60.0
) -> Steps[Restored]:
    """Give participants their parts back, all or ``only`` some; what became of each.

    Raises StorageError when it is damaged or claims more than the database holds, and
    InvalidInputError where there is none; then nothing was given back.  ActorDied: some may have
    been, ask again.
    """
    message = checkpoints.Restore(id, dry_run, list(only))
    reply: Restored = yield Ask("checkpoints", message, timeout, idempotent=dry_run)
    return reply


def list_daemon_checkpoints(
    limit: int = 100, *, before: int = 0, timeout: float = 30.0
) -> Steps[list[CheckpointInfo]]:
    """The newest ones below id ``before``, newest first."""
    return (yield from list_infos(DAEMON, limit, before=before, timeout=timeout))
