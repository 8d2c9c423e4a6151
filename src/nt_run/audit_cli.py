"""`nt-run audit`: a kept run recomputed. Heavy modules are imported inside the command."""

import typer

from nt_run.options import CACHE, CacheDir, Json, KeptRun, Quiet, Verbose

audit_app = typer.Typer()


@audit_app.command("audit")
def audit_command(
    run: KeptRun = None,
    *,
    json: Json = False,
    cache_dir: CacheDir = CACHE,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Recompute a kept run from its own files.

    Every difference is named; ends with 8 if there is one.
    """
    from nt_run import audit_listing, tables  # noqa: PLC0415
    from nt_run.audit import audit  # noqa: PLC0415
    from nt_run.errors import CheckFailedError  # noqa: PLC0415
    from nt_run.formats import counted  # noqa: PLC0415

    found = audit(run, cache_dir)
    (tables.print_json if json else audit_listing.print_audit)(found)
    if not found["sound"]:
        count = len(found["violations"])
        raise CheckFailedError(
            f"{counted(count, 'thing')} {'is' if count == 1 else 'are'} wrong with {found['run_id']}."
        )
