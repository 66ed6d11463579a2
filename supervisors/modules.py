"""Whether a module can be found, asked without importing anything of it.

``importlib.util.find_spec("a.b")`` would import ``a``, which is the user's code, in the root.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder

__all__ = ["is_importable"]


def is_importable(name: str, path: Sequence[str]) -> bool:
    """Whether ``import name`` would find its file with ``path`` in front of ``sys.path``."""
    first, _, rest = name.partition(".")
    spec = PathFinder.find_spec(first, [*path, *sys.path]) or _asked_elsewhere(first)
    for part in rest.split(".") if rest else ():
        if spec is None or spec.submodule_search_locations is None:
            return False
        # Not the full name: a namespace package would ask sys.modules for its parent.
        spec = PathFinder.find_spec(part, list(spec.submodule_search_locations))
    return spec is not None


def _asked_elsewhere(name: str) -> ModuleSpec | None:
    """Built-in modules, and the finders that editable installs put in ``sys.meta_path``."""
    for finder in sys.meta_path:
        if finder is not PathFinder and (spec := finder.find_spec(name, None)) is not None:
            return spec
    return None
