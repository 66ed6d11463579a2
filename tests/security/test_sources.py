"""What the shipped code never does: run what it was sent, or trust the form of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.test_layers import identify, package_files

# Each of them makes code, objects or commands out of data.  ``multiprocessing`` pickles.
MODULES = {
    "code",
    "cloudpickle",
    "dill",
    "imp",
    "joblib",
    "marshal",
    "multiprocessing",
    "pickle",
    "shelve",
    "yaml",
    "xmlrpc",
}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "mktemp"}
# What a config names is imported in the process of the agent; what a peer names nowhere.
IMPORTERS = {
    "actors/vocabularies.py",  # holdfast.actors.messages.NAME
    "holdfast/__init__.py",
    "holdfast/cli/app.py",  # a table of its own
    "storage/probes.py",  # likewise
    "supervisors/roles.py",
    "supervisors/zygote.py",
}


@cache
def nodes(path: Path) -> list[ast.Import | ast.ImportFrom | ast.Call]:
    """What the tests below look at, in one walk."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
    ]


def findings(path: Path) -> Iterator[str]:
    for each in nodes(path):
        keywords = each.keywords if isinstance(each, ast.Call) else []
        for node in (each, *keywords):
            yield from _found(node)


def _found(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (each.name for each in names if each.name.split(".")[0] in MODULES)
        case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
            yield module
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield f"{name}()"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr=name)) if name in CALLS:
            yield f"os.{name}()"
        case ast.keyword(arg="shell", value=ast.Constant(value=True)):
            yield "shell=True"
        case ast.keyword(arg="diagnose", value=ast.Constant(value=True)):
            yield "diagnose=True"


def test_nothing_shipped_makes_code_or_commands_of_data() -> None:
    found = {identify(path): list(findings(path)) for path in package_files()}
    # The power cuts are shared out to processes that this one has started itself.
    assert found.pop("holdfast/testing/faults/power/__main__.py") == ["multiprocessing"]
    assert {name: what for name, what in found.items() if what} == {}


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        "import pickle\nfrom multiprocessing.pool import Pool\neval('1')\nos.system('x')\n"
        "subprocess.run('x', shell=True)\n"
    )
    assert len(list(findings(file))) == 5


def test_modules_are_imported_by_name_only_where_a_config_names_them() -> None:
    found = {
        identify(path)
        for path in package_files()
        if "import_module" in path.read_text(encoding="utf-8")
        and not identify(path).startswith("holdfast/testing/")
    }
    assert found <= IMPORTERS


def statements(path: Path) -> Iterator[ast.JoinedStr]:
    """Texts put together and given to the database at once."""
    for node in nodes(path):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("execute", "executemany", "_rows", "_one")
        ):
            yield from (each for each in node.args[:1] if isinstance(each, ast.JoinedStr))


def test_no_value_is_put_into_a_statement_by_its_text() -> None:
    """What a statement is put together from is constants and placeholders of this code.

    Where one is formatted, each piece is a name in capitals or says ``sql``, ``columns``, ``marks``
    and so on; the semantic proof is ``test_names``.
    """
    for path in package_files():
        for text in statements(path):
            for piece in text.values:
                if isinstance(piece, ast.FormattedValue):
                    shown = ast.unparse(piece.value)
                    assert not any(
                        word in shown for word in ("message", "request", ".name", ".type", ".id")
                    ), f"{identify(path)}:{text.lineno}: {shown}"
