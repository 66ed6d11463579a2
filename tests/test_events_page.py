"""docs/EVENTS.md says what is so: its examples are run as they stand, in their order."""

from __future__ import annotations

import doctest
import io
import re
import shlex
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.holdfast.conftest import Run
from tests.holdfast.conftest import run as run

PAGE = Path(__file__).resolve().parent.parent / "docs" / "EVENTS.md"


def test_the_examples_of_the_page_run(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (config,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    commands = [
        line
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
    ]
    monkeypatch.chdir(tmp_path)
    with Daemon(tmp_path, config):
        examples = doctest.DocTestParser().get_doctest(page, {}, "EVENTS.md", str(PAGE), 0)
        output = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        failed, tried = runner.run(examples, out=output.write, clear_globs=False)
        examples.globs["hub"].close()  # the page makes it
        assert not failed, output.getvalue()
        assert tried == page.count(">>> ") > 20
        for command in commands:
            done = run(*shlex.split(command)[1:])
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert done.stdout or " -o " in command, command
