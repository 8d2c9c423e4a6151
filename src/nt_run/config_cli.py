"""`nt-run config`: what a run would be configured with. Heavy modules are imported inside the commands."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from nt_run.options import Json, Quiet, Verbose, option, overrides

config_app = typer.Typer(help="What a run would be configured with.", no_args_is_help=True)


@config_app.command("show", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def config_show(
    ctx: typer.Context,
    *,
    toml: Annotated[bool, option("--toml", help="Print it as a file that runs.")] = False,
    json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Print a configuration and where each key was said.

    Takes CONFIG.toml and the flags of backtest.
    """
    from nt_run import explain, start_listing, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    # What backtest would make of the same words.
    commands = cast("Any", ctx.find_root().command).commands
    params = commands["backtest"].make_context("nt-run config show", list(ctx.args)).params
    given = overrides(params)
    # Some versions of typer make a path of it only when the command itself is called.
    file = None if params["config"] is None else Path(params["config"])
    explained = explain.explain_config(file, given)
    if toml:
        typer.echo(load_config(file, given).to_toml(), nl=False)
    elif json:
        tables.print_json(explained)
    else:
        start_listing.print_config(explain.flat(explained["config"]), explained["origins"])


@config_app.command("schema")
def config_schema(*, verbose: Verbose = False, quiet: Quiet = False) -> None:
    """Print the JSON Schema of a configuration file.

    By which editors complete and check TOML.
    """
    from nt_run import explain, tables  # noqa: PLC0415

    tables.print_json(explain.config_schema())
