"""From a class in a test to what a config can say: a module, and where a child finds it.

A child of the daemon imports the agent's module by itself.  What pytest put on ``sys.path``, and
what it imported without (``--import-mode=importlib``), is told to it as ``python_path``.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from holdfast.errors import InvalidInputError
from holdfast.supervisors.modules import is_importable

__all__ = ["Target", "import_path", "target_of"]


class Target(NamedTuple):
    """``module:Class``, and the directories in which the module is looked for first."""

    name: str
    python_path: list[str]


def import_path() -> list[str]:
    """Where this process finds what is not installed, absolute and in its order."""
    paths = sysconfig.get_paths()
    installed = tuple(paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    entries = dict.fromkeys(os.path.abspath(entry) for entry in sys.path)
    return [
        entry
        for entry in entries
        if os.path.exists(entry) and not any(_is_below(entry, place) for place in installed)
    ]


def target_of(class_: type) -> Target:
    """How a config names the class.  Raises InvalidInputError when a child cannot import it."""
    module, name = class_.__module__, class_.__qualname__
    if "<locals>" in name:
        raise _refused(class_, "it is made inside a function; define it at the top of a module")
    if _attribute(module, name) is not class_:
        raise _refused(class_, f"{module} has something else, or nothing, under that name")
    file = _file_of(class_)
    path = import_path()
    found = _find(module, [*path, *sys.path])
    if _is_same(found, file):
        return Target(f"{module}:{name}", path)
    root = _root_of(module, file)
    if root is not None and _is_same(_find(module, [root, *path, *sys.path]), file):
        return Target(f"{module}:{name}", [root, *path])
    if found is None and module != "__main__" and is_importable(module, path):
        return Target(f"{module}:{name}", path)  # by a finder of an editable install
    if _is_importable_alone(file):
        return Target(f"{file.stem}:{name}", [str(file.parent), *path])
    raise _refused(
        class_,
        f"a new process would not find {file} as {module!r} on sys.path: move the class to a "
        "module that can be imported by that name",
    )


def _attribute(module: str, name: str) -> object:
    value: object = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def _file_of(class_: type) -> Path:
    file = getattr(sys.modules[class_.__module__], "__file__", None)
    if file is None:
        raise _refused(class_, "its module has no file that a new process could read")
    return Path(file).resolve()


def _find(module: str, path: list[str]) -> Path | None:
    """The source that ``import module`` would load from these directories.

    By looking, and not by importlib: its namespace packages ask sys.modules for their parents.
    """
    found: Path | None = None
    for name in module.split("."):
        places, path = [Path(entry, name) for entry in path], []
        for place in places:
            if (init := place / "__init__.py").is_file():
                found, path = init, [str(place)]
                break
            if (file := place.with_name(f"{name}.py")).is_file():
                found, path = file, []
                break
            if place.is_dir():
                found = None
                path.append(str(place))
        else:
            if not path:
                return None
    return found


def _root_of(module: str, file: Path) -> str | None:
    """The directory from which the file is imported by that name."""
    inner = file.parent if file.name == "__init__.py" else file.with_suffix("")
    names = tuple(module.split("."))
    if inner.parts[-len(names) :] != names or not all(map(str.isidentifier, names)):
        return None
    root = inner.parents[len(names) - 1]
    return None if root == Path(root.anchor) else str(root)


def _is_importable_alone(file: Path) -> bool:
    """Whether the file can be imported as a module of no package."""
    name = file.stem
    is_free = name.isidentifier() and name not in sys.stdlib_module_names
    return is_free and not (file.parent / "__init__.py").exists()


def _is_same(found: Path | None, file: Path) -> bool:
    return found is not None and found.resolve() == file


def _is_below(entry: str, place: str) -> bool:
    return os.path.commonpath([entry, place]) == place


def _refused(class_: type, why: str) -> InvalidInputError:
    name = f"{class_.__module__}.{class_.__qualname__}"
    return InvalidInputError(f"agent class {name}: its process cannot import it: {why}")
