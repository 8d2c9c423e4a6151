"""A strategy's source → its module."""

import importlib
import sys
import types
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nt_run.errors import UsageError


def load_module(path: str) -> types.ModuleType:
    """Return the module `path`, such as `package.module`, installed or in the current folder.

    Raises:
        UsageError: There is none, or it cannot be imported.
    """
    try:
        with _current_folder_importable():
            return importlib.import_module(path)
    except ModuleNotFoundError as exc:
        if exc.name is None or not path.startswith(exc.name):
            raise UsageError(f"The strategy module {path} needs {exc.name}, which is not installed.") from exc
        raise UsageError(f"There is no module {path!r} to load a strategy from.") from exc
    except Exception as exc:
        raise UsageError(f"The strategy module {path} cannot be imported: {exc!r}") from exc


@contextmanager
def _current_folder_importable() -> Generator[None]:
    """Let an import find packages of the current folder, last of all: a console script does not look there."""
    folder = str(Path.cwd())
    added = folder not in sys.path and "" not in sys.path
    if added:
        sys.path.append(folder)
        importlib.invalidate_caches()
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def load_file(path: str) -> types.ModuleType:
    """Return the Python file at `path` as a module, loaded anew each time.

    Raises:
        UsageError: There is none, or it cannot be loaded.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        where = "" if Path(path).is_absolute() else f": started in {Path.cwd()}, that is {file}"
        raise UsageError(f"There is no strategy file {path}{where}.")
    module = types.ModuleType(f"nt_run_user_{file.stem}")
    module.__file__ = str(file)
    # Dataclasses look their module up while it is being executed.
    sys.modules[module.__name__] = module
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # so that it can import what lies beside it
    try:
        # Not through importlib: its bytecode cache misses a change within the same second.
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # noqa: S102 - the user's own strategy
    except Exception as exc:
        del sys.modules[module.__name__]
        raise UsageError(f"The strategy file {path} cannot be loaded: {exc!r}") from exc
    return module
