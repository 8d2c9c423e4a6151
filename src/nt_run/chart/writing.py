"""Files a chart is written into: named rightly, and there whole or not at all."""

import os
import tempfile
from pathlib import Path

from nt_run.errors import ChartError


def check_target(path: Path, ending: str, what: str, rule: str) -> None:
    """Refuse a file that could not be written, before anything is drawn.

    Args:
        path: Where a chart shall be written.
        ending: What its name has to end in, such as `.png`.
        what: What is written, to begin a sentence: `The picture`.
        rule: Why the ending matters: `pictures are PNG files`.

    Raises:
        ChartError: The path has no name, another ending, or its folder does not exist.
    """
    if not path.name:
        raise ChartError(f"{what} needs the name of a file, such as run{ending}.")
    if path.suffix.lower() != ending:
        raise ChartError(f"{path}: {rule}. Choose a name that ends in {ending}, such as {path.stem}{ending}.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ChartError(f"{path}: the folder {folder} does not exist. Create it, or choose another.")


def write_whole(path: Path, content: bytes, what: str) -> None:
    """Write a file by way of a neighbour that takes its name when it is complete.

    Raises:
        ChartError: The `what` cannot be written there.
    """
    part = ""
    try:
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except OSError as exc:
        if part:
            Path(part).unlink(missing_ok=True)
        raise ChartError(f"{path}: the {what} cannot be written ({exc.strerror}).") from exc
