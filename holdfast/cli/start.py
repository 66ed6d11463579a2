"""``holdfast start``: becomes the root of the tree; or starts one child of a running daemon."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["start"]


@click.command()
@click.argument("config", metavar="CONFIG|CHILD", type=click.Path(path_type=Path))
@click.option("--data-dir", type=click.Path(path_type=Path), help="Wins over the config's.")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Wins over the config's.  Of a CHILD: else $HOLDFAST_RUN_DIR, else var/run.",
)
@click.option("--timeout", type=click.FloatRange(min=0.0), help="Of a CHILD: seconds; else 60.")
@click.option("--json", "as_json", is_flag=True, help="Of a CHILD: print JSON.")
def start(
    config: Path,
    data_dir: Path | None,
    run_dir: Path | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Run the daemon that CONFIG describes, in the foreground.

    Where there is no such file and the name could be a child's: start CHILD of the daemon that
    runs, after `stop CHILD`.
    """
    if not config.exists():
        # Loaded only here: each child would carry what it imports.
        from holdfast.cli.children import is_child_name, start_one
        from holdfast.cli.options import run_dir_default

        if is_child_name(str(config)):
            _refuse_with_child("--data-dir", data_dir)
            where = run_dir or run_dir_default()
            start_one(
                str(config),
                run_dir=where,
                timeout=60.0 if timeout is None else timeout,
                as_json=as_json,
            )
            return 0
    for option, is_given in (("--timeout", timeout is not None), ("--json", as_json)):
        if is_given:
            raise click.UsageError(f"{option} is of use with a CHILD only")
    from holdfast.supervisors.tree import run_tree

    return run_tree(config, data_dir=data_dir, run_dir=run_dir)


def _refuse_with_child(option: str, value: object) -> None:
    if value is not None:
        raise click.UsageError(f"{option} is of no use with a CHILD")
