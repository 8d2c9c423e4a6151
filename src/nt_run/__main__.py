"""The process boundary: errors become one message and an exit code."""

import os
import sys
import traceback

from nt_run.errors import NtRunError

USAGE, BUG, INTERRUPTED = 2, 70, 130


def main() -> int:
    """Run the command line and return the exit code of the process (see `nt_run.errors`)."""
    import typer  # noqa: PLC0415 - inside, so that Ctrl-C during the imports ends like any other
    from typer.exceptions import TyperException  # noqa: PLC0415

    from nt_run.cli import app  # noqa: PLC0415

    try:
        code = int(app(prog_name="nt-run", standalone_mode=False) or 0)
        return _interrupted() if code == INTERRUPTED else code
    except NtRunError as exc:
        return _say(f"nt-run: {exc}", exc.exit_code)
    except TyperException as exc:
        show = getattr(exc, "show", None)
        if show is not None:
            show()
        return int(getattr(exc, "exit_code", USAGE))
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except (BrokenPipeError, SystemExit):
        # The reader of our output (head, less) has gone, which typer turns into an exit; that is no failure of ours.
        # Python must not complain either, when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # noqa: BLE001 - the last line of defence: what is not ours is a bug, and is shown whole
        traceback.print_exc()
        return _say("nt-run: this is a bug in nt-run; please report it with the lines above.", BUG)


def _interrupted() -> int:
    # typer turns Ctrl-C inside a command into this exit code, without a word.
    return _say("nt-run: interrupted; nothing was left half done.", INTERRUPTED)


def _say(message: str, exit_code: int) -> int:
    print(message, file=sys.stderr)  # noqa: T201 - errors belong on the screen
    return exit_code


def run() -> None:
    """Entry point of the `nt-run` script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
