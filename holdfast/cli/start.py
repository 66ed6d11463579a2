"""``holdfast start``: becomes the root of the tree."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["start"]


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--data-dir", type=click.Path(path_type=Path), help="Wins over the config's.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="Wins over the config's.")
def start(config: Path, data_dir: Path | None, run_dir: Path | None) -> int:
    """Run the daemon that CONFIG describes, in the foreground."""
    from holdfast.supervisors.tree import run_tree

    return run_tree(config, data_dir=data_dir, run_dir=run_dir)
