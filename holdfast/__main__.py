"""The command line: ``python -m holdfast`` and the console script.

Imports nothing at the top: what stands here is in every process of the tree.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run one command and exit with its code."""
    from holdfast.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
