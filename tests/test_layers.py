"""The layout: who may import whom, how big things get, and what ``import holdfast`` costs."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKS = ("actors", "storage", "supervisors")
MAX_FILE = 400  # lines
MAX_FUNCTION = 45

# From the bottom up: a module may import from its own layer and from those before it.
# The test kit is part of the front that nothing else of it may need.
LAYERS = ("foundation", "storage", "actors", "supervisors", "front", "testing")
FOUNDATION = ("holdfast", "holdfast.errors", "holdfast.clock")
# One file of actors/ per actor; all that they share is infrastructure.
ACTORS = ("writer", "query", "log", "sessions", "checkpoints", "files", "tracker", "gateway")


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def source_files() -> list[Path]:
    folders = ("actors", "storage", "supervisors", "holdfast", "examples", "benchmarks", "tests")
    return sorted(
        path
        for folder in folders
        for path in _below(ROOT / folder)
        if path.suffix == ".py" and path.is_file()
    )


def _below(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):  # does not follow the links
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(base, name) for name in files)


def module_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(["holdfast", *parts] if parts[0] in LINKS else parts)


def layer_of(module: str) -> str:
    if module in FOUNDATION:
        return "foundation"
    part = module.split(".")[1]
    return part if part in (*LINKS, "testing") else "front"


def imports_of(path: Path) -> set[str]:
    """The modules of holdfast that a file imports, also inside functions and for types only."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if _is_module(name)}
    return {name for name in found if name.split(".")[0] == "holdfast"}


def _is_module(name: str) -> bool:
    path = ROOT / "/".join(name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def package_files() -> list[Path]:
    return [path for path in source_files() if module_of(path).split(".")[0] == "holdfast"]


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_point_down_only() -> None:
    files = set(package_files())
    # It names what lies above it, and imports it when it is asked for.
    files.remove(ROOT / "holdfast" / "__init__.py")
    assert [
        f"{identify(path)} imports {imported}"
        for path in sorted(files)
        for imported in sorted(imports_of(path))
        if LAYERS.index(layer_of(imported)) > LAYERS.index(layer_of(module_of(path)))
    ] == []


@pytest.mark.parametrize("actor", ACTORS)
def test_an_actor_never_imports_another_actor(actor: str) -> None:
    others = {f"holdfast.actors.{name}" for name in ACTORS if name != actor}
    assert not imports_of(ROOT / "actors" / f"{actor}.py") & others


def test_every_package_is_listed_in_setup_cfg() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {module_of(path) for path in package_files() if path.name == "__init__.py"}
    assert listed == found


@pytest.mark.parametrize("name", LINKS)
def test_the_package_shows_the_folders_at_the_root_by_links(name: str) -> None:
    assert (ROOT / "holdfast" / name).readlink() == Path("..", name)


def test_files_and_functions_stay_readable() -> None:
    too_long = []
    for path in source_files():
        if (lines := path.read_text(encoding="utf-8").count("\n")) > MAX_FILE:
            too_long.append(f"{identify(path)}: {lines} lines")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION:
                    too_long.append(f"{identify(path)}: {node.name}: {length} lines")
    assert too_long == []


def test_a_module_says_what_it_owns() -> None:
    silent = [identify(path) for path in package_files() if not ast.get_docstring(parse(path))]
    assert silent == []


def test_no_test_sleeps() -> None:
    for path in source_files():
        if path.relative_to(ROOT).parts[0] != "tests":
            continue
        for node in ast.walk(parse(path)):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            assert name != "sleep", f"{identify(path)}:{getattr(node, 'lineno', 0)}"


def test_importing_holdfast_loads_nothing_heavy() -> None:
    program = "import holdfast, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    loaded = set(run.stdout.decode().split())
    heavy = {"apsw", "cachetools", "click", "loguru", "msgspec", "pykka", "rich", "sqlite3"}
    assert not loaded & heavy


def test_the_names_of_the_package_are_found_when_they_are_used() -> None:
    program = "import holdfast; [getattr(holdfast, name) for name in holdfast.__all__]"
    subprocess.run([sys.executable, "-c", program], check=True)
