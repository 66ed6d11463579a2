"""The copier: a process that moves a database to another one, beside the tree that uses it.

It is forked for one job and does what the root says.  Lost when it dies: the move, unless it was
committed; the source is as it was, and the target labelled as half filled.  It dies with the root.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, assert_never

from holdfast.clock import Clock, SystemClock
from holdfast.errors import HoldfastError
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.old import discard, forget, old_data, retire
from holdfast.storage.migrating.ports import AnewError, Place, UnequalError
from holdfast.supervisors.backends import place_of
from holdfast.supervisors.copier_words import (
    COPIER,
    LONGEST,
    Abandon,
    Commit,
    Copy,
    Discard,
    Far,
    Finish,
    Finished,
    Forget,
    Forgotten,
    FromCopier,
    Job,
    Move,
    Prepared,
    Refused,
    Retire,
    Retired,
    ToCopier,
    Verified,
    Verify,
    decode_job,
    decode_to,
    encode,
)
from holdfast.supervisors.linux import set_process_name
from holdfast.supervisors.memory_folder import make_memory_folder

__all__ = ["run_copier"]

COPY_SLICE: Final = 0.2  # seconds between two reports, and to an order
FOLLOW_SLICE: Final = 0.02  # seconds; everybody may be held back meanwhile
IDLE: Final = 0.02  # seconds until it looks for more, when there was nothing to follow
FORGET_SLICE: Final = 0.5  # seconds


def run_copier(payload: bytes, descriptors: dict[str, int]) -> int:
    """Do the job that ``payload`` is; the exit code."""
    set_process_name("copier")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # what is to be known is told
        os.dup2(null, stream)
    with socket.socket(fileno=descriptors[COPIER]) as line:
        copier = _Copier(line, SystemClock())
        try:
            copier.carry_out(decode_job(payload))
        except _Ended:
            return 0
        except (BrokenPipeError, ConnectionError):  # the root is dead
            return 1
        except AnewError as error:
            return copier.refuse(str(error), "anew")
        except UnequalError as error:
            return copier.refuse(str(error), "end")
        except HoldfastError as error:
            return copier.refuse(str(error) or type(error).__name__)
        except BaseException:
            return copier.refuse(traceback.format_exc().rstrip())
    return 0


class _Ended(Exception):
    """Nothing more is wanted."""


class _Copier:
    """One job."""

    def __init__(self, line: socket.socket, clock: Clock) -> None:
        self._line = line
        self._clock = clock

    def carry_out(self, job: Job) -> None:
        """Until it is done or not wanted any more.  Raises what went wrong."""
        match job:
            case Move():
                self._move(job)
            case Retire():
                self._retire(job)
            case Forget():
                self._forget(job)
            case Discard():
                self._discard(job)
            case _:
                assert_never(job)

    def refuse(self, error: str, does: Literal["", "anew", "end"] = "") -> int:
        """Say what is wrong; the exit code."""
        with suppress(OSError):
            self._tell(Refused(error[-LONGEST // 2 :], does))
        return 1

    # -- a move ---------------------------------------------------------------------------------

    def _move(self, job: Move) -> None:
        if job.target.backend == "memory":
            make_memory_folder(Path(job.target.database).parent)
        migration = Migration(
            place_of(job.source),
            place_of(job.target),
            swap=job.swap,
            mode=job.mode,
            clock=self._clock,
            resumes=job.resumes,
        )
        try:
            migration.prepare()
            self._check(migration)
            self._tell(Prepared(migration.resumed))
            self._await(Copy)
            self._copy(migration)
            self._follow(migration)
            self._tell(Finished(migration.finish()))
            self._await(Commit)
        except BaseException:
            migration.abandon()
            raise
        self._tell(Retired(migration.commit()))
        self._await(Verify)
        migration.verify_old()
        self._tell(Verified())

    def _check(self, migration: Migration) -> None:
        """What an earlier try has left, if it is to be gone on with."""
        while not (progress := migration.check(COPY_SLICE)).is_done:
            self._tell(Far(progress, is_copied=False))
            self._heard(0.0)

    def _copy(self, migration: Migration) -> None:
        while True:
            progress = migration.copy(COPY_SLICE)
            self._tell(Far(progress, is_copied=progress.is_done))
            if progress.is_done:
                return
            self._heard(0.0)

    def _follow(self, migration: Migration) -> None:
        """Until it is to finish."""
        wait = 0.0
        while not isinstance(self._heard(wait), Finish):
            progress = migration.follow(FOLLOW_SLICE)
            self._tell(Far(progress, is_copied=True))
            wait = IDLE if progress.is_done else 0.0

    # -- other jobs -----------------------------------------------------------------------------

    def _retire(self, job: Retire) -> None:
        other = place_of(job.target).where
        where = retire(place_of(job.source), swap=job.swap, other=other, clock=self._clock)
        self._tell(Retired(where))

    def _forget(self, job: Forget) -> None:
        what: list[str] = []
        errors: list[HoldfastError] = []
        for environment in job.places:
            try:
                what += self._forget_at(place_of(environment), job)
            except HoldfastError as error:  # a server that is no more keeps nobody from the others
                errors.append(error)
        if errors:
            raise errors[0]
        self._tell(Forgotten(what))

    def _forget_at(self, place: Place, job: Forget) -> list[str]:
        found = old_data(place, job.failed)
        while found and not job.dry_run and not forget(place, FORGET_SLICE, job.failed):
            self._heard(0.0)
        return found

    def _discard(self, job: Discard) -> None:
        place, what = place_of(job.place), []
        while found := discard(place, job.swap, FORGET_SLICE):
            what = found
            self._heard(0.0)
        self._tell(Forgotten(what))

    # -- the line -------------------------------------------------------------------------------

    def _tell(self, message: FromCopier) -> None:
        self._line.send(encode(message))

    def _await(self, wanted: type[ToCopier]) -> None:
        message = self._heard(None)
        assert isinstance(message, wanted), message

    def _heard(self, seconds: float | None) -> ToCopier | None:
        """What is said within so many seconds; the end of the root, and Abandon, end this."""
        ready, _, _ = select.select([self._line], [], [], seconds)
        if not ready:
            return None
        data = self._line.recv(LONGEST)
        message: ToCopier = decode_to(data) if data else Abandon()
        if isinstance(message, Abandon):
            raise _Ended
        return message
