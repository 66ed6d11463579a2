"""Children of a zygote that came for one that died: it is forked from a supervisor at work.

Whatever that had open is known to its forks by number, and the numbers are used again: what one of
them wrote to "the console of its supervisor" went into its database, and took all that was not
checkpointed with it (docs/evidence/DEFECTS.md).
"""

from __future__ import annotations

import signal
from pathlib import Path

from holdfast.supervisors.spec import ChildSpec
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import LINE, SmallTree, child, nested


def talker(name: str) -> ChildSpec:
    return child(name, "talkers:Talker")


def with_another_zygote(grow: Grow) -> SmallTree:
    tree = grow(nested("below", talker("deep"))).ready()
    before = tree.pids()["deep"]
    tree.kill("zygote:below", signal.SIGKILL)

    def another() -> bool | None:
        deep = tree.which("below")["deep"]
        return True if deep.state == "running" and deep.pid != before else None

    tree.until(another)
    return tree


def test_what_the_child_of_another_zygote_logs_is_a_line_of_its_own(grow: Grow) -> None:
    tree = with_another_zygote(grow)
    pid = tree.ask(["logging", "still heard"], "deep")
    tree.expect("still heard$")
    line = next(line for line in tree.log if line.endswith("still heard"))
    found = LINE.match(line)
    assert found is not None
    assert found.groups()[1:] == ("WARNING", "deep", str(pid), "still heard")
    assert tree.kept("deep") == [line]


def test_what_the_child_of_another_zygote_logs_is_in_none_of_its_files(
    grow: Grow, tmp_path: Path
) -> None:
    tree = with_another_zygote(grow)
    tree.ask(["logging_among_files", str(tmp_path)], "deep")
    files = sorted(tmp_path.glob("open-*"))
    assert len(files) == 100
    assert {file.name: file.read_text() for file in files if file.stat().st_size} == {}
