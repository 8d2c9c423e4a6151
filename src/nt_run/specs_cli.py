"""`nt-run specs …`: the exchange's trading rules, now and then. Heavy modules are imported inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

from nt_run.errors import UsageError
from nt_run.options import CACHE, CacheDir, Demo, Json, Offline, Quiet, Symbol, Symbols, Verbose, option

specs_app = typer.Typer(help="The exchange's trading rules, now and then.", invoke_without_command=True)


@specs_app.callback()
def specs(
    ctx: typer.Context,
    *,
    symbol: Symbol = None,
    at: Annotated[str | None, option("--at", help="The rules kept of a date, not today's.", metavar="DATE")] = None,
    json: Json = False,
    offline: Offline = False,
    demo: Demo = None,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Print the exchange's trading rules of one perpetual."""
    if ctx.invoked_subcommand is not None:
        _refuse_misplaced(ctx)
        return
    from nt_run import inputs, specs_listing, tables  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    settings = load_config(None, {"symbol": symbol, "demo": demo})
    rules = inputs.specs_report(settings, cache_dir=cache_dir, offline=offline, at=at)
    if json:
        tables.print_json(rules)
    else:
        specs_listing.print_specs(rules, demo=settings.demo, warnings=rules["warnings"])


@specs_app.command("list")
def specs_list(
    *,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """List the kept answers of the exchange, oldest first."""
    from nt_run import listing, specs_listing, tables, timeline  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    snapshots = timeline.kept_snapshots(load_config(None, {"demo": demo}), cache_dir)
    if json:
        tables.print_json({"demo": bool(demo), "snapshots": snapshots})
        return
    rows = [specs_listing.snapshot_row(snapshot) for snapshot in snapshots]
    empty = (
        f"No trading rules are kept in {cache_dir} yet. nt-run specs keeps today's, nt-run specs import FILE others."
    )
    listing.print_table(specs_listing.SNAPSHOT_HEADINGS, rows, empty=empty, demo=bool(demo))


@specs_app.command("import")
def specs_import(
    file: Annotated[Path, typer.Argument(help="An exchangeInfo answer: JSON, plain, gzip or zip.", metavar="FILE")],
    *,
    at: Annotated[
        str | None, option("--at", help="When the exchange gave it; its own serverTime if left out.", metavar="TIME")
    ] = None,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Keep a recorded exchangeInfo answer.

    So that runs can use the rules of its time.
    """
    from nt_run import specs_listing, tables, timeline  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415

    kept = timeline.import_answer(load_config(None, {"demo": demo}), cache_dir, file, at)
    if json:
        tables.print_json(kept)
    else:
        specs_listing.print_imported(kept)


@specs_app.command("diff")
def specs_diff(
    before: Annotated[str, typer.Argument(help="A date, today, or a file with an exchangeInfo answer.", metavar="A")],
    after: Annotated[str, typer.Argument(help="The same, to compare with.", metavar="B")],
    *,
    symbol: Symbols = None,
    offline: Offline = False,
    demo: Demo = None,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Show what changed between two answers; ends with 8 if they differ."""
    from nt_run import specs_listing, tables, timeline  # noqa: PLC0415
    from nt_run.config import load_config  # noqa: PLC0415
    from nt_run.errors import CheckFailedError  # noqa: PLC0415
    from nt_run.model import parse_symbol  # noqa: PLC0415

    symbols = {parse_symbol(each) for each in (symbol or "").split(",") if each.strip()}
    settings = load_config(None, {"demo": demo})
    found = timeline.compared(settings, cache_dir, before, after, symbols, offline=offline)
    if json:
        tables.print_json(found)
    else:
        specs_listing.print_diff(found, in_full=bool(symbols))
    if not found["same"]:
        raise CheckFailedError("The rules differ.")


def _refuse_misplaced(ctx: typer.Context) -> None:
    """Options before a subcommand would be lost without a word."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"Write {flags} after the subcommand: nt-run specs {ctx.invoked_subcommand} {flags} …")
