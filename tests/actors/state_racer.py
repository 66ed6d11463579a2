"""A process of its own that changes one entity by compare-and-set, and says which it won.

``python -m tests.actors.state_racer RUN_DIR NAME TURNS``: one line for each version it made.
"""

from __future__ import annotations

import sys

import holdfast
from holdfast.errors import Conflict


def main(run_dir: str, name: str, turns: int) -> None:
    """Read, set, print; a Conflict says both versions, and then it tries from the newer one."""
    with holdfast.connect(run_dir) as hub:
        for turn in range(turns):
            found = hub.state.get("race")
            assert found is not None
            version = found.version
            while True:
                try:
                    made = hub.state.update(
                        "race", {"by": name, "turn": turn}, expected_version=version
                    )
                except Conflict as lost:
                    version = _next_version(lost, version)
                    continue
                print(made.version, turn, flush=True)
                break


def _next_version(lost: Conflict, tried: int) -> int:
    assert lost.expected == tried
    assert isinstance(lost.current, int)
    assert lost.current > tried
    return lost.current


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
