"""`nt-run backtest … --find-capital`. Heavy modules are imported inside the command."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import typer

from nt_run.errors import UsageError
from nt_run.options import overrides


def print_capital_and_exit(config: Path | None, flags: Mapping[str, Any]) -> NoReturn:
    """Find the smallest balance of a backtest that was asked for by `flags`, print it, and end the command.

    Raises:
        typer.Exit: It is done.
        UsageError: The flags ask for something that only a single run has.
    """
    if flags["assert_"]:
        raise UsageError("--assert is about one run, and --find-capital makes many. Use one of them.")
    from nt_run import capital, capital_report, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.progress import ProgressDisplay  # noqa: PLC0415

    settings = load_config(config, overrides(dict(flags)))
    with ProgressDisplay(quiet=flags["quiet"], verbose=flags["verbose"]) as progress, redirect_stdout(sys.stderr):
        found = capital.find_capital(
            settings, cache_dir=flags["cache_dir"], offline=flags["offline"], progress=progress
        )
    (tables.print_json if flags["json"] else capital_report.print_capital)(found)
    raise typer.Exit
