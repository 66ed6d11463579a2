"""What a checkpoint of the daemon is made of: a part for each participant, and a manifest.

It is kept as the state of a thread of its own, so that parts that did not change are kept once and
prune, pins and history are those of every thread.  Plain functions; nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from loguru import logger

from holdfast.actors.messages.checkpoints import Participant, PartIs
from holdfast.errors import InvalidInputError, StorageError
from holdfast.storage import parts as parting
from holdfast.storage.checkpoint_records import DAEMON, Checkpoint
from holdfast.storage.ports import Reader
from holdfast.storage.sqlite_parts import names_in

__all__ = ["Manifest", "Opened", "laid_out", "newest_part", "opened"]

MANIFEST: Final = "$manifest"  # no actor is called so
ALL: Final = 2**62  # bytes
LOOKED_AT: Final = 10  # checkpoints that may lack a part


class Manifest(msgspec.Struct, frozen=True):
    """Who is in it; written last.  ``missing`` ones have an error instead of a part."""

    boot: int
    reason: str
    began_us: int
    participants: list[Participant]

    @property
    def missing(self) -> list[Participant]:
        """Those that are not in it."""
        return [each for each in self.participants if each.error]


class Opened(msgspec.Struct, frozen=True):
    """A checkpoint as it was read: the manifest, and each part's text."""

    id: int
    created_us: int
    manifest: Manifest
    texts: dict[str, str]


def laid_out(manifest: Manifest, texts: Mapping[str, str]) -> parting.Layout:
    """The state of the thread."""
    text = msgspec.json.encode(manifest).decode()
    return parting.lay_out_texts({**texts, MANIFEST: text})


def opened(reader: Reader | None, id: int = 0) -> Opened:
    """The checkpoint of that id, or the newest, with every part looked at.

    Raises InvalidInputError where there is none; StorageError when it is damaged, or claims more
    than the database holds.
    """
    found = None if reader is None else reader.checkpoint(DAEMON, id)
    if reader is None or found is None:
        which = f"no checkpoint {id}" if id else "no checkpoint"
        raise InvalidInputError(f"the daemon has {which}: `holdfast checkpoints list` shows them")
    names = names_in(found.pieces)
    parts = {part.name: parting.unpack(part) for part in reader.checkpoint_parts(names, ALL)}
    if lost := [name.hex() for name in names if name not in parts]:
        raise StorageError(
            f"checkpoint {found.id} of the daemon is damaged: its parts {', '.join(lost)} are not "
            "there; restore another one"
        )
    try:
        texts = _texts(found, parts)
        manifest = msgspec.json.decode(texts.pop(MANIFEST), type=Manifest)
    except (KeyError, ValueError) as error:  # msgspec's are among the latter
        raise StorageError(
            f"checkpoint {found.id} of the daemon has no manifest that can be read: {error}"
        ) from error
    _check_sizes(found.id, manifest.participants, texts)
    _check_marks(found.id, manifest.participants, reader.last_seq())
    return Opened(found.id, found.created_us, manifest, texts)


def _texts(found: Checkpoint, parts: Mapping[bytes, bytes]) -> dict[str, str]:
    texts = {
        key: bytes(raw).decode()
        for key, raw in msgspec.json.decode(found.state, type=dict[str, msgspec.Raw]).items()
    }
    return texts | {piece.path[0]: parting.join(piece, parts).decode() for piece in found.pieces}


def newest_part(reader: Reader | None, participant: str) -> PartIs:
    """Of the newest checkpoint that has one of ``participant`` and can be read."""
    try:
        infos = [] if reader is None else reader.checkpoint_infos(DAEMON, LOOKED_AT)
    except StorageError as error:
        logger.error("checkpoints of the daemon cannot be read, so none is taken up: {}", error)
        infos = []
    for info in infos:
        try:
            found = opened(reader, info.id)
        except (StorageError, InvalidInputError) as error:  # damaged, or pruned meanwhile
            logger.warning("looking for the part of {} further back: {}", participant, error)
            continue
        for each in found.manifest.participants:
            if each.name == participant and participant in found.texts:
                text = found.texts[participant]
                return PartIs(found.id, found.created_us, text, each.count, each.mark)
    return PartIs(0)


def _check_sizes(id: int, participants: Iterable[Participant], texts: Mapping[str, str]) -> None:
    for each in participants:
        size = len(texts.get(each.name, "").encode())
        if not each.error and size != each.bytes:
            raise StorageError(
                f"checkpoint {id} of the daemon is damaged: {size} bytes of {each.name} are there, "
                f"where {each.bytes} were put; restore another one"
            )


def _check_marks(id: int, participants: Iterable[Participant], last_seq: int) -> None:
    for each in participants:
        if each.mark > last_seq:
            raise StorageError(
                f"checkpoint {id} of the daemon claims events up to number {each.mark} "
                f"({each.name}), but the database holds {last_seq}: it is of another database; "
                "restore an older one"
            )
