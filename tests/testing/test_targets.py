"""A class in a test becomes an agent in a process of its own, however pytest imported the test."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import InvalidInputError
from holdfast.testing import TIMEOUT
from holdfast.testing.targets import import_path, target_of
from tests.testing.agents import Clerk
from tests.testing.projects import PLUGIN, WHOLE, run_pytest, write

ROOT = Path(__file__).resolve().parents[2]

LAYOUTS = {
    "tests/test_flat.py": WHOLE,
    "tests/unit/deep/test_deep.py": WHOLE,
    "tests_of_a_package/__init__.py": "",
    "tests_of_a_package/test_in_a_package.py": WHOLE,
    "odd-folder/test_odd.py": WHOLE,
    # Found by the same name, and wins: with an __init__.py it is no namespace package.
    "src/tests/__init__.py": "",
    "src/tests/test_flat.py": "",
    # The class is in the product, which pytest's own setting finds.
    "src/product/__init__.py": "",
    "src/product/agents.py": WHOLE.partition("def test")[0],
    "tests/test_product.py": (
        "from product.agents import Outer, Planner\n\ndef test" + WHOLE.partition("def test")[2]
    ),
}


@pytest.mark.parametrize(
    "mode",
    [pytest.param(mode, marks=pytest.mark.slow) for mode in ("prepend", "append", "importlib")],
)
def test_an_agent_in_a_test_file_runs_in_every_import_mode(tmp_path: Path, mode: str) -> None:
    ini = f"[pytest]\npythonpath = src\nnorecursedirs = src\naddopts = --import-mode={mode}\n"
    write(tmp_path, LAYOUTS | {"pytest.ini": ini, "conftest.py": PLUGIN})
    counts, output = run_pytest(tmp_path)
    assert counts == {"passed": 5}, output


def test_an_agent_of_a_conftest_and_of_an_imported_helper_runs(tmp_path: Path) -> None:
    """``conftest`` is a name that many files have."""
    agent = WHOLE.partition("def test")[0]
    test = "def test" + WHOLE.partition("def test")[2]
    write(
        tmp_path,
        {
            "conftest.py": PLUGIN,
            "a/conftest.py": agent.replace("planner:got", "wrong"),
            "b/conftest.py": agent
            + "\nimport pytest\n\n@pytest.fixture\ndef agents():\n"
            + '    return {"planner": Planner, "inner": Outer.Inner}\n',
            "b/test_b.py": test.replace("(holdfast_daemon)", "(holdfast_daemon, agents)").replace(
                '{"planner": Planner, "inner": Outer.Inner}', "agents"
            ),
        },
    )
    counts, output = run_pytest(tmp_path, "--import-mode=importlib")
    assert counts == {"passed": 1}, output


def test_the_class_of_a_program_is_imported_by_the_programs_name(tmp_path: Path) -> None:
    program = (
        WHOLE.partition("def test")[0]
        + """
if __name__ == "__main__":
    from holdfast.testing import Daemon
    with Daemon("folder", agents={"planner": Planner}) as daemon:
        print(daemon.ref("planner").ask("hello", timeout=20))
"""
    )
    write(tmp_path, {"program.py": program})
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT,
        check=True,
    )
    assert done.stdout == b"['program', 'hello']\n"


def test_a_class_that_is_made_in_a_function_is_refused() -> None:
    class Local(holdfast.Agent):
        pass

    with pytest.raises(InvalidInputError, match=r"Local: .* made inside a function; define it at"):
        target_of(Local)


def test_a_class_that_its_module_does_not_have_is_refused() -> None:
    class_ = type("Clerk", (Clerk,), {"__module__": Clerk.__module__})
    with pytest.raises(InvalidInputError, match="has something else, or nothing, under that name"):
        target_of(class_)


def test_a_class_of_no_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made_up")
    exec("class Made: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "made_up", module)
    with pytest.raises(InvalidInputError, match="no file that a new process could read"):
        target_of(module.Made)


def test_a_file_that_a_new_process_would_not_find_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imported by hand, from a package, under another name."""
    write(tmp_path, {"package/__init__.py": "", "package/lost.py": "class Lost: pass\n"})
    module = types.ModuleType("other_name")
    module.__file__ = str(tmp_path / "package" / "lost.py")
    exec("class Lost: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "other_name", module)
    with pytest.raises(InvalidInputError, match=r"would not find .*lost.py as 'other_name'"):
        target_of(module.Lost)


def test_what_is_installed_is_not_told_to_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child has it anyway; in front, it would hide what the test put there."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    found = import_path()
    assert found[0] == str(ROOT / "examples")
    assert str(ROOT) in found
    assert os.path.dirname(pytest.__path__[0]) not in found
    assert os.path.dirname(os.__file__) not in found


def test_a_class_that_a_finder_of_an_editable_install_finds_is_left_to_it(tmp_path: Path) -> None:
    """As holdfast's own here: actors/ is imported as holdfast.actors."""
    program = (
        "import holdfast; from holdfast.testing.targets import target_of;"
        "print(target_of(holdfast.Agent).name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"holdfast.actors.agent:Agent\n"
