"""What the parameters of the gateway's events are made of: each type with what it accepts."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

__all__ = [
    "LONG",
    "NO_NUL",
    "SHORT",
    "Action",
    "Count",
    "Flag",
    "Glob",
    "Id",
    "Kind",
    "Moment",
    "Most",
    "Name",
    "Namespace",
    "Patterns",
    "Properties",
    "Style",
]

NO_NUL: Final = r"^[^\x00]+$"
SHORT: Final = "text, 1 to 256 characters without NUL"
LONG: Final = "text, 1 to 1024 characters without NUL"
Id = Annotated[
    str,
    Meta(min_length=1, max_length=256, pattern=NO_NUL, description="the id of an entity"),
]
Kind = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=NO_NUL,
        description=SHORT,
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1024,
        pattern=NO_NUL,
        description=LONG,
    ),
]
Properties = Annotated[dict[str, Any], Meta(description="an object")]
Count = Annotated[int, Meta(ge=1, le=10_000, description="a whole number, 1 to 10000")]
Most = Annotated[int, Meta(ge=1, le=1_000, description="a whole number, 1 to 1000")]
Moment = Annotated[
    float | str, Meta(description="seconds since 1970, or an ISO 8601 date and time")
]
Glob = Annotated[str, Meta(min_length=1, max_length=256, pattern=NO_NUL, description=SHORT)]
Patterns = Annotated[
    tuple[Glob, ...], Meta(max_length=64, description='a list of globs of event names, as "tool:*"')
]
Flag = Annotated[bool, Meta(description="true or false")]
Namespace = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=NO_NUL,
        description="the id of the entity whose queue it is, or any name",
    ),
]
Action = Annotated[Literal["create", "status"], Meta(description='"create" or "status"')]
Style = Annotated[Literal["verbose", "compact"], Meta(description='"verbose" or "compact"')]
