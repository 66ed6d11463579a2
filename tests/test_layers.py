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
from typing import NamedTuple

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


class Source(NamedTuple):
    """What is asked of a file, found in one parse; its tree would take a hundred times the room."""

    lines: int
    docstring: str | None
    imports: tuple[ast.Import | ast.ImportFrom, ...]
    functions: tuple[tuple[str, int], ...]  # with their lines
    sleeps: tuple[int, ...]  # where, of tests


@cache
def read(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    inside = list(statements_of(tree))
    return Source(
        text.count("\n"),
        ast.get_docstring(tree),
        tuple(node for node in inside if isinstance(node, ast.Import | ast.ImportFrom)),
        tuple(
            (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
            for node in inside
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ),
        tuple(_sleeps(tree)) if "sleep" in text and "tests" in path.parts else (),
    )


def statements_of(node: ast.AST) -> Iterator[ast.AST]:
    """Every one below it: a tenth of all nodes, and neither imports nor functions are elsewhere."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        below = getattr(node, part, ())
        if isinstance(below, list):  # not so of a lambda and of ``a if b else c``
            for each in below:
                yield each
                yield from statements_of(each)


def _sleeps(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if (getattr(node, "attr", None) or getattr(node, "id", None)) == "sleep":
            yield getattr(node, "lineno", 0)


@cache
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
    for node in read(path).imports:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            if (node.module or "").partition(".")[0] == "holdfast":
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name for name in names if _is_module(name)}
    return {name for name in found if name.split(".")[0] == "holdfast"}


@cache
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
        source = read(path)
        if source.lines > MAX_FILE:
            too_long.append(f"{identify(path)}: {source.lines} lines")
        too_long += [
            f"{identify(path)}: {name}: {lines} lines"
            for name, lines in source.functions
            if lines > MAX_FUNCTION
        ]
    assert too_long == []


def test_a_module_says_what_it_owns() -> None:
    silent = [identify(path) for path in package_files() if not read(path).docstring]
    assert silent == []


def test_no_test_sleeps() -> None:
    for path in source_files():
        if path.relative_to(ROOT).parts[0] == "tests":
            assert not read(path).sleeps, f"{identify(path)}:{read(path).sleeps}"


def test_importing_holdfast_loads_nothing_heavy() -> None:
    program = "import holdfast, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    loaded = set(run.stdout.decode().split())
    heavy = {"apsw", "cachetools", "click", "loguru", "msgspec", "pykka", "rich", "sqlite3"}
    assert not loaded & heavy


def test_the_names_of_the_package_are_found_when_they_are_used() -> None:
    program = "import holdfast; [getattr(holdfast, name) for name in holdfast.__all__]"
    subprocess.run([sys.executable, "-c", program], check=True)
