"""The process boundary: errors become one message and an exit code."""

import errno
import os
import signal
import sys
import traceback
from types import FrameType

from nt_run.errors import NtRunError
from nt_run.signs import write_plainly

USAGE, RESULTS, BUG, INTERRUPTED = 2, 6, 70, 130


def main() -> int:
    """Run the command line and return the exit code of the process (see `nt_run.errors`)."""
    try:
        code = _command()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        # typer turns Ctrl-C inside a command into this exit code, without a word.
        return _say("interrupted; nothing was left half done, and what was downloaded is kept.", code)
    return code


def _command() -> int:
    import typer  # noqa: PLC0415 - inside, so that Ctrl-C during the imports ends like any other

    from nt_run.cli import app  # noqa: PLC0415

    for stream in (sys.stdout, sys.stderr):
        write_plainly(stream)
    try:
        return int(app(prog_name="nt-run", standalone_mode=False) or 0)
    except NtRunError as exc:
        return _say(str(exc), exc.exit_code)
    except typer.Abort:
        return INTERRUPTED
    except SystemExit as exc:
        return _ended(exc)
    except Exception as exc:  # noqa: BLE001 - the last line of defence: what is not ours is a bug, and is shown whole
        return _unforeseen(exc)


def _ended(exc: SystemExit) -> int:
    cause = exc.__context__
    if not (isinstance(cause, OSError) and cause.errno == errno.EPIPE):
        return _say(f"the process was told to end, by sys.exit({exc.code!r}). No result was kept.", BUG)
    # The reader of our output (head, less) has gone, which typer turns into this; that is no failure of ours. Python
    # must not complain either, when it flushes at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _unforeseen(exc: Exception) -> int:
    show = getattr(exc, "show", None)
    if show is not None:  # typer's own errors of usage
        show()
        return int(getattr(exc, "exit_code", USAGE))
    if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
        return _say(f"there is no space left: {exc}.", RESULTS)
    traceback.print_exception(exc)
    return _say("this is a bug in nt-run; please report it with the lines above.", BUG)


def _say(message: str, exit_code: int) -> int:
    print(f"nt-run: {message}", file=sys.stderr)  # noqa: T201 - errors belong on the screen
    return exit_code


def run() -> None:
    """Entry point of the `nt-run` script."""
    signal.signal(signal.SIGINT, _interrupt)
    code = main()
    # All is said and done but for the threads Python waits for.
    signal.signal(signal.SIGINT, lambda _signal, _frame: os._exit(code))
    sys.exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Ctrl-C: what runs is ended in order; a second one does not wait for that, and is no error in the midst of it."""
    signal.signal(signal.SIGINT, _interrupt_again)
    raise KeyboardInterrupt


def _interrupt_again(_signal: int, _frame: FrameType | None) -> None:
    shown = b"\x1b[?25h" if sys.stderr.isatty() else b""  # progress may have hidden the cursor
    os.write(2, shown + b"nt-run: interrupted at once; what was downloaded is kept.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
