"""`python -m nt_run.demo`: the embedded exchange by itself, until Ctrl-C."""

import argparse
import sys
import threading
from contextlib import suppress

from nt_run.demo.rules import WEIGHT_LIMIT
from nt_run.demo.server import DemoExchange
from nt_run.model import format_time


def main() -> None:
    """Serve the synthetic market and print what makes `nt-run` use it as if it were the exchange."""
    parser = argparse.ArgumentParser(prog="python -m nt_run.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1 (default: a free one)")
    parser.add_argument("--weight-limit", type=int, default=WEIGHT_LIMIT, help="request weight a minute (%(default)s)")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt), DemoExchange(port=options.port, weight_limit=options.weight_limit) as exchange:
        note = f"A synthetic market, seen at {format_time(exchange.clock_ms)} UTC. Ctrl-C ends it."
        print(note, file=sys.stderr, flush=True)  # noqa: T201 (a command speaks to its user)
        print(f"export NT_RUN_REST_URL={exchange.rest_url}")  # noqa: T201 (the same)
        print(f"export NT_RUN_ARCHIVE_URL={exchange.archive_url}")  # noqa: T201 (the same)
        print(f"export NT_RUN_ARCHIVE_LIST_URL={exchange.archive_list_url}", flush=True)  # noqa: T201 (the same)
        forever = threading.Event()
        # A signal that comes just before an endless wait would not end it.
        while not forever.wait(0.5):
            pass


if __name__ == "__main__":
    main()
