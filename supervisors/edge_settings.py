"""The tables of what is served to the outside: ``[metrics]``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from holdfast.supervisors.value_kinds import Flag

__all__ = ["MetricsSettings"]

Ip = Annotated[
    str, Meta(pattern=r"\A[0-9A-Fa-f:.]+\Z", description='an IP address, as "127.0.0.1"')
]
Port = Annotated[int, Meta(ge=1, le=65_535, description="a port, 1 to 65535")]


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[metrics]``; who can reach ``address`` may read all of it, and nothing else."""

    enabled: Flag = False
    address: Ip = "127.0.0.1"
    port: Port = 9464
