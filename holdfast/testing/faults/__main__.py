"""``python -m holdfast.testing.faults ARGS...``: ``holdfast ARGS...`` with the rig installed.

``HOLDFAST_FAULTS`` names the plan.
"""

from __future__ import annotations

import sys

from holdfast.errors import ConfigError
from holdfast.testing.faults.launch import install


def main() -> None:
    """Run one command and exit with its code; 3 for a plan that is none."""
    from holdfast.cli.app import run

    try:
        install()
    except ConfigError as error:
        print(f"holdfast: {error}", file=sys.stderr)
        sys.exit(3)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
