"""What one starts with: a new strategy, those that are there. Heavy modules are imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from nt_run.options import CACHE, CacheDir, Json, Offline, Quiet, Verbose, option

start_app = typer.Typer()


@start_app.command("new-strategy")
def new_strategy(
    name: Annotated[str, typer.Argument(help="Of the files; in CamelCase that of the class.", metavar="NAME")],
    *,
    template: Annotated[
        str, option("--template", help="ema, breakout, mean-reversion or blank (ema).", metavar="NAME")
    ] = "ema",
    to: Annotated[Path, option("--to", help="Their folder (this one).", metavar="DIR")] = Path(),
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Write a strategy with its configuration.

    And with a test; all run at once, and nothing is ever overwritten.
    """
    from nt_run import scaffold  # noqa: PLC0415

    files = scaffold.new_strategy(name, template, to)
    typer.echo("\n".join(map(str, files)))
    if not quiet:
        typer.echo(f"Try it: nt-run backtest {files[1]} --demo\nTest it: pytest {files[2]}", err=True)


@start_app.command("strategies")
def strategies(*, json: Json = False, verbose: Verbose = False, quiet: Quiet = False) -> None:
    """List the strategies and their parameters."""
    from nt_run import start_listing, tables  # noqa: PLC0415
    from nt_run.strategies.catalog import installed_strategies  # noqa: PLC0415

    found = installed_strategies()
    if json:
        tables.print_json({"strategies": found})
    else:
        start_listing.print_strategies(found)


@start_app.command("doctor")
def doctor_command(
    *,
    offline: Offline = False,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Say what is missing here and what helps.

    Ends with 8 if something needed is wrong.
    """
    from nt_run import start_listing, tables  # noqa: PLC0415
    from nt_run.doctor import examine, refuse_wrong  # noqa: PLC0415

    findings = examine(cache_dir, offline=offline)
    if json:
        tables.print_json({"sound": all(each["state"] != "wrong" for each in findings), "findings": findings})
    else:
        start_listing.print_doctor(findings)
    refuse_wrong(findings)
