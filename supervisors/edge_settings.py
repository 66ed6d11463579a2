"""The tables of what is served to the outside: ``[metrics]``, ``[http]``, ``[otel]``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from holdfast.supervisors.otel_settings import OtelSettings
from holdfast.supervisors.value_kinds import (
    AnswerBytes,
    Clients,
    Flag,
    Period,
    RequestBytes,
    Text,
)

__all__ = ["HttpSettings", "MetricsSettings", "OtelSettings"]

Ip = Annotated[
    str, Meta(pattern=r"\A[0-9A-Fa-f:.]+\Z", description='an IP address, as "127.0.0.1"')
]
Port = Annotated[int, Meta(ge=1, le=65_535, description="a port, 1 to 65535")]


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[metrics]``; who can reach ``address`` may read all of it, and nothing else."""

    enabled: Flag = False
    address: Ip = "127.0.0.1"
    port: Port = 9464


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[http]``; who has the token may do all that a program of the daemon's user may.

    ``allow_remote`` has to say so where ``address`` is no loopback.  ``token`` is a reference to
    a secret, "" for a file that is made in the run directory.  ``hosts`` are names by which it
    may be called beside its address and localhost; ``origins`` those whose pages may ask.
    ``timeout`` in seconds for each request, ``patience`` for a request to be whole, ``grace`` for
    a client that does not read, ``heartbeat`` between two signs of life of a stream.
    """

    enabled: Flag = False
    address: Ip = "127.0.0.1"
    port: Port = 9465
    allow_remote: Flag = False
    token: Annotated[
        str,
        Meta(
            pattern=r"\A((env|file):[^\0]+)?\Z",
            description='a reference, "env:NAME" or "file:PATH", or "" for a file that is made',
        ),
    ] = ""
    hosts: Annotated[tuple[Text, ...], Meta(description="a list of host names")] = ()
    origins: Annotated[
        tuple[Text, ...], Meta(description='a list of origins, as "https://example.org"')
    ] = ()
    max_clients: Clients = 256
    max_streams: Clients = 128
    max_body: RequestBytes = 2 * 1024 * 1024
    max_answer: AnswerBytes = 32 * 1024 * 1024
    timeout: Period = 30.0
    patience: Period = 10.0
    grace: Period = 10.0
    heartbeat: Period = 15.0
