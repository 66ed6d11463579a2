"""What is said when a program and a daemon speak different versions of the protocol."""

from __future__ import annotations

from holdfast.errors import VersionError

__all__ = ["other_version"]


def other_version(actor: str, *, daemon: int, program: int) -> VersionError:
    """The refusal; it says which of the two is too old."""
    older = (
        "the daemon is too old: install the program's holdfast there, and restart it"
        if daemon < program
        else "the program is too old: install the daemon's holdfast there"
    )
    return VersionError(
        f"actor {actor!r} speaks version {daemon} of the protocol, not {program}: {older}"
    )
