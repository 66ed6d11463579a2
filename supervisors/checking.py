"""A look at what a config names, in a process that ends with it: classes, and backends.

The root imports nothing of a user's.  What an import leaves behind, or never comes back from, is
this process's; it is forked by the zygote as the agent would be.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
from typing import Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.storage.probes import probe
from holdfast.supervisors.backends import check_backend, check_same
from holdfast.supervisors.linux import set_process_name
from holdfast.supervisors.roles import imported
from holdfast.supervisors.secrets import resolved, resolved_variables
from holdfast.supervisors.settings import AgentSettings
from holdfast.supervisors.spec import Environment

__all__ = ["CHECK", "Check", "run_check"]

CHECK: Final = "/check"  # the descriptor's name in a fork request; no actor can be called so
LONGEST: Final = 8 * 1024  # bytes of what is told


class Check(msgspec.Struct, frozen=True, array_like=True):
    """One thing to look at; errors call it ``where``.

    ``agent``: can its class be imported?  ``environment``: could its database be opened, or, with
    ``is_same``, is it the one that is?  Else: does ``backend`` work at ``address``?
    """

    where: str
    agent: AgentSettings | None = None
    backend: str = ""
    address: str = ""
    environment: Environment | None = None
    is_same: bool = False


_decode = msgspec.msgpack.Decoder(Check).decode


def run_check(payload: bytes, descriptors: dict[str, int]) -> int:
    """Say on the socket what is wrong, "" if nothing is; the exit code."""
    set_process_name("check")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # what is to be known is told
        os.dup2(null, stream)
    with socket.socket(fileno=descriptors[CHECK]) as line:
        line.send(b"+" + _told(_decode(payload)).encode(errors="backslashreplace")[-LONGEST:])
    return 0


def _told(check: Check) -> str:
    try:
        if check.environment is not None and check.is_same:
            check_same(check.environment)
        elif check.environment is not None:
            check_backend(check.environment)
        elif check.agent is None:
            probe(check.backend, str(resolved(check.address, check.where)))
        else:
            os.environ.update(resolved_variables(check.agent.env, f"{check.where} env"))
            resolved(check.agent.options, f"{check.where} options")
            imported(check.agent)
    except HoldfastError as error:
        return f"{check.where}: {error}"
    except BaseException:  # also a module that calls sys.exit()
        return f"{check.where}: {traceback.format_exc().rstrip()}"
    return ""
