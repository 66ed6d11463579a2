"""The same database by another address: another password, another name of its server.

Nothing moves.  Those who have it open are held, the commit point says how it is reached, and they
start again.  Lost with the root: nothing, both addresses lead to the same data.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from holdfast.actors.mailbox import Mailbox
from holdfast.clock import Clock
from holdfast.errors import HoldfastError, ReloadError
from holdfast.supervisors.commit_point import CommitPoint, read_point, write_point
from holdfast.supervisors.holding import Holding
from holdfast.supervisors.in_place import ON_DATABASE
from holdfast.supervisors.settings import StorageSettings
from holdfast.supervisors.spec import Environment
from holdfast.supervisors.steps import Steps, within

__all__ = ["HOLD_ORDER", "Readdressing"]

# Sessions, and the log, have something for the writer when they stop.
HOLD_ORDER: Final = ([name for name in ON_DATABASE if name != "writer"], ["writer"])


class Readdressing:
    """The root's."""

    def __init__(self, holding: Holding, data_dir: Path, *, mailbox: Mailbox, clock: Clock) -> None:
        self._holding = holding
        self._data_dir = data_dir
        self._mailbox = mailbox
        self._clock = clock

    def carry_out(
        self, storage: StorageSettings, source: Environment, target: Environment
    ) -> Steps[None]:
        """From the next life of each on.  Raises ReloadError: it is reached as before."""
        try:
            yield from self._hold(source, storage.hold_timeout)
            known = read_point(self._data_dir)
            swap = "" if known is None else known.swap
            write_point(self._data_dir, CommitPoint.of(storage, clock=self._clock, swap=swap))
        except HoldfastError as error:
            yield partial(self._holding.release, source)
            raise ReloadError(f"the database is reached as before: {error}", reason="failed") from (
                error
            )
        yield partial(self._holding.release, target)

    def _hold(self, source: Environment, limit: float) -> Steps[None]:
        held = msgspec.structs.replace(source, held=ON_DATABASE)
        late = f"not held within [storage] hold_timeout = {limit:g} s"
        for names in HOLD_ORDER:
            begin = partial(self._holding.hold, names, held)
            error = yield within(limit, begin, later=self._mailbox.later, late=late)
            if error:
                raise ReloadError(error, reason="failed")
