"""What the values of the config file are made of: each type with what it accepts, in words."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

__all__ = [
    "NAME",
    "NAME_IN_WORDS",
    "AnswerBytes",
    "Clients",
    "Count",
    "Flag",
    "Fraction",
    "Limit",
    "Most",
    "Name",
    "Period",
    "RequestBytes",
    "Seconds",
    "ShutdownValue",
    "Text",
]

NAME: Final = r"\A[a-z][a-z0-9_-]{0,47}\Z"
NAME_IN_WORDS: Final = "a name of 1 to 48 characters a-z 0-9 _ -, the first a letter"

Name = Annotated[str, Meta(pattern=NAME, description=NAME_IN_WORDS)]
Text = Annotated[str, Meta(pattern=r"\A[^\0]+\Z", description="a text that is not empty")]
Seconds = Annotated[float, Meta(ge=0, description="seconds >= 0")]
Period = Annotated[float, Meta(gt=0, description="seconds > 0")]
Count = Annotated[int, Meta(ge=0, le=2**53, description="a whole number >= 0")]
Flag = Annotated[bool, Meta(description="a boolean")]
Fraction = Annotated[float, Meta(ge=0, lt=1, description="a fraction, 0 to less than 1")]
Limit = Annotated[int, Meta(ge=1, le=2**53, description="a whole number >= 1")]

Most = Annotated[int, Meta(ge=1, le=100_000, description="a number, 1 to 100000")]

# Of the doors to the outside, [actors.gateway] and [http].
Clients = Annotated[int, Meta(ge=1, le=10_000, description="a number, 1 to 10000")]
RequestBytes = Annotated[
    int, Meta(ge=1024, le=6 * 1024 * 1024, description="a number, 1024 to 6291456")
]
AnswerBytes = Annotated[int, Meta(ge=65_536, le=2**30, description="a number, 65536 to 1073741824")]

ShutdownValue = Annotated[
    Annotated[float, Meta(ge=0)] | Literal["infinity", "brutal_kill"],
    Meta(description='seconds >= 0, "infinity" or "brutal_kill"'),
]
