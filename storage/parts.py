"""States cut into parts, so that what did not change from one checkpoint to the next is kept once.

A dict is opened: each of its values has a text of its own, and so have those of large dicts in it.
A text is cut where only its beginning decides: into as many pieces of 512 KiB as it has, then of
64 KiB, then of 8 KiB, then a rest.  So a list that grows keeps all its pieces but the last few,
whatever its length.  Pure functions; nothing is kept here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from holdfast.errors import StorageError
from holdfast.storage import jsontext
from holdfast.storage.checkpoint_records import Part, Piece

__all__ = [
    "Layout",
    "assemble",
    "join",
    "lay_out",
    "lay_out_texts",
    "name_of",
    "pack",
    "size_of",
    "unpack",
]

# Bytes of a state that is not cut: a page of the database.  Its parts would be in several.
WHOLE: Final = 16 * 1024
LEAST: Final = 1024  # bytes of a value that is cut; smaller ones stay where they are
OPENED: Final = 16 * 1024  # bytes of a dict within a state that is opened as well
DEPTH: Final = 4  # dicts within dicts that are opened
MOST_INLINE: Final = 16 * 1024  # bytes of a dict that stay where they are; else all of it is cut
SIZES: Final = (512 * 1024, 64 * 1024, 8 * 1024)  # bytes of pieces
REST: Final = 256  # bytes of a rest that is not worth a part
HASH: Final = 16  # bytes: 128 bits of SHA-256, which processors have instructions for

# zstd compresses some 200 MB/s at level 1: what a put brings takes longer to compress than to
# write, unless it is little, or so much that the disk counts.
LEVEL: Final = 1
LITTLE: Final = 640 * 1024  # bytes
MUCH: Final = 4 * 1024 * 1024
PAYS: Final = 0.9  # a compressed part may be so much of the plain one

_PLACE: Final = b"null"
_MARKED: Final = "$bytes"  # jsontext's: a dict with only such a key is no ordinary one
_key: Final = msgspec.json.Encoder().encode


class Layout(msgspec.Struct):
    """A state as it is kept: ``state`` is JSON text with null in place of every piece."""

    state: str
    pieces: list[Piece]
    parts: dict[bytes, bytes]  # by name, plain
    size: int  # bytes of the whole as JSON text


def lay_out(value: object) -> Layout:
    """Cut a state.  Raises InvalidInputError as ``jsontext.encode``."""
    layout = Layout("null", [], {}, 0)
    try:
        text = _open(value, [], layout, DEPTH)
    except ValueError:
        whole = jsontext.encode_utf8(value)  # says where in the whole it is wrong
        layout = Layout("null", [], {}, 0)
        text = _cut(whole, [], layout)
    return _finished(layout, text)


def lay_out_texts(texts: Mapping[str, str]) -> Layout:
    """Cut what is JSON text already: the state is a dict of it."""
    layout = Layout("null", [], {}, 0)
    fields = []
    for key, text in texts.items():
        fields.append(_key(key) + b":" + _placed(text.encode(), [key], layout))
    return _finished(layout, b"{" + b",".join(fields) + b"}")


def assemble(state: str, pieces: Iterable[Piece], parts: Mapping[bytes, bytes]) -> Any:
    """The value again; ``parts`` has all that the pieces name.  Raises InvalidInputError."""
    value: Any = jsontext.decode(state)
    for piece in pieces:
        item = jsontext.decode(join(piece, parts))
        if not piece.path:
            return item
        place = value
        for key in piece.path[:-1]:
            place = place[key]
        place[piece.path[-1]] = item
    return value


def join(piece: Piece, parts: Mapping[bytes, bytes]) -> bytes:
    """The text that was cut."""
    return b"".join((*(parts[name] for name in piece.parts), piece.tail.encode()))


def size_of(state: int, pieces: Iterable[Piece], sizes: Mapping[bytes, int]) -> int:
    """Bytes of the whole, from those of the state without its pieces and of all its parts."""
    cut = (
        sum(sizes[name] for name in piece.parts) + len(piece.tail.encode()) - len(_PLACE)
        for piece in pieces
    )
    return state + sum(cut)


def name_of(data: bytes) -> bytes:
    """What a part is called: by what is in it."""
    return hashlib.sha256(data).digest()[:HASH]


def pack(parts: Mapping[bytes, bytes]) -> list[Part]:
    """As they are stored, compressed where that pays."""
    if not parts:
        return []
    import zstandard  # 10 ms, which a program that puts nothing large does not pay

    size = sum(map(len, parts.values()))
    if LITTLE < size <= MUCH:
        return [Part(name, len(data), 0, data) for name, data in parts.items()]
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    packed = []
    for name, data in parts.items():
        small = compressor.compress(data)
        pays = len(small) <= PAYS * len(data)
        packed.append(Part(name, len(data), 1, small) if pays else Part(name, len(data), 0, data))
    return packed


def unpack(part: Part) -> bytes:
    """The plain part.  Raises StorageError when it is not what it is called by."""
    data = part.data
    if part.codec == 1:
        import zstandard

        try:
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=part.size)
        except zstandard.ZstdError as error:
            raise _damaged(part) from error
    if part.codec not in (0, 1) or name_of(data) != part.name:
        raise _damaged(part)
    return data


def _damaged(part: Part) -> StorageError:
    return StorageError(
        f"part {part.name.hex()} of a checkpoint is damaged: what is stored is not what was put; "
        "go back to another checkpoint, and look after the disk"
    )


def _finished(layout: Layout, text: bytes) -> Layout:
    layout.state = text.decode()
    sizes = {name: len(data) for name, data in layout.parts.items()}
    layout.size = size_of(len(text), layout.pieces, sizes)
    return layout


def _open(value: object, path: list[str], layout: Layout, depth: int) -> bytes:
    """The text of a value with null in place of what goes into pieces.  Raises ValueError."""
    if type(value) is not dict or not value or not _is_ordinary(value):
        text = jsontext.encode_utf8(value)
        return text if not path and len(text) <= WHOLE else _placed(text, path, layout)
    texts = {_key(key): jsontext.encode_utf8(item) for key, item in value.items()}
    size = sum(map(len, texts)) + sum(map(len, texts.values())) + 2 * len(texts) + 1
    if not path and size <= WHOLE:
        return _joined(texts)
    inline = size - sum(len(text) for text in texts.values() if len(text) >= LEAST)
    if inline > MOST_INLINE:
        return _cut(_joined(texts), path, layout)
    for (name, text), (key, item) in zip(texts.items(), value.items(), strict=True):
        if len(text) > OPENED and depth > 1 and type(item) is dict:
            texts[name] = _open(item, [*path, key], layout, depth - 1)
        else:
            texts[name] = _placed(text, [*path, key], layout)
    return _joined(texts)


def _is_ordinary(value: dict[Any, object]) -> bool:
    """Whether its text is that of its items, side by side.  Raises ValueError for a wrong key."""
    for key in value:
        if type(key) is not str:
            raise ValueError("a key that is no text")
    return len(value) > 1 or not next(iter(value)).endswith(_MARKED)


def _joined(texts: Mapping[bytes, bytes]) -> bytes:
    return b"{" + b",".join(key + b":" + text for key, text in texts.items()) + b"}"


def _placed(text: bytes, path: list[str], layout: Layout) -> bytes:
    return text if len(text) < LEAST else _cut(text, path, layout)


def _cut(text: bytes, path: list[str], layout: Layout) -> bytes:
    names: list[bytes] = []
    at, end = 0, len(text)
    for size in SIZES:
        while end - at >= size:
            at = _take(text, at, _character(text, at + size), names, layout)
    if end - at >= REST:
        at = _take(text, at, end, names, layout)
    layout.pieces.append(Piece(path, names, text[at:].decode()))
    return _PLACE


def _take(text: bytes, at: int, end: int, names: list[bytes], layout: Layout) -> int:
    data = text[at:end]
    name = name_of(data)
    layout.parts[name] = data
    names.append(name)
    return end


def _character(text: bytes, at: int) -> int:
    """The place at ``at`` or before it where a character begins: texts stay texts."""
    while at < len(text) and text[at] & 0xC0 == 0x80:
        at -= 1
    return at
