"""Whether what a config names to keep state in can be reached and used, asked before it is.

A backend that offers a probe is named here; its module is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Final

__all__ = ["PROBES", "probe"]

# By backend: the function that connects to an address, looks, and raises a HoldfastError that
# names no secret.
PROBES: Final = {"redis": "holdfast.storage.redis_sessions:probe"}


def probe(backend: str, address: str) -> None:
    """Raise HoldfastError unless ``backend`` works at ``address``; others always do."""
    module, _, function = PROBES.get(backend, "").partition(":")
    if module and _is_there(module):
        getattr(import_module(module), function)(address)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there either
        return False
