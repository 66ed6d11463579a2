"""docs/RELOAD.md says what is so: its files are used, and its commands print what it says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.commandline import command_line
from tests.daemon import Daemon

PAGE = Path(__file__).resolve().parents[2] / "docs" / "RELOAD.md"
CONFIG = re.compile(r"```toml\n(.*?)```", re.DOTALL)
MODULE = re.compile(r"```python\n# desk.py\n(.*?)```", re.DOTALL)
SESSION = re.compile(r"```text\n(.*?)```", re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z")
SECONDS = re.compile(r"\d+\.\d{3} s")


def test_the_example_of_the_page_prints_what_it_says(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, after, added, _ = CONFIG.findall(page)
    (module,), (session, moving) = MODULE.findall(page), SESSION.findall(page)
    (tmp_path / "desk.py").write_text(module)
    with Daemon(tmp_path, before) as daemon:
        daemon.config_file.write_text(before)  # as it stands: the kit adds to it
        daemon.hub.supervision.reload()
        assert daemon.ref("clerk").ask("ana") == "hello, ana"
        daemon.config_file.write_text(after)
        carry_out(tmp_path, session)
        assert daemon.ref("clerk").ask("ana") == "welcome, ana"
        assert daemon.ref("guide").ask("ana") == "good day, ana"
        daemon.config_file.write_text(f"{after}\n{added}")
        carry_out(tmp_path, moving)


def carry_out(folder: Path, session: str) -> None:
    for command in session.split("$ holdfast ")[1:]:
        arguments, _, printed = command.partition("\n")
        run = command_line(folder, *arguments.split())
        assert run.returncode == 0, run.stderr
        lines = [line.rstrip() for line in run.stdout.splitlines()]
        assert plain("\n".join(lines)) == plain(printed.rstrip())


def plain(text: str) -> str:
    return TIME.sub("TIME", SECONDS.sub("N s", text))
