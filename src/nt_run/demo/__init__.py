"""The embedded exchange: a loopback server over a synthetic market."""

from nt_run.demo.faults import Fault
from nt_run.demo.market import DEMO_NOW_MS, DEMO_START_MS, SyntheticMarket
from nt_run.demo.server import DemoExchange

__all__ = ["DEMO_NOW_MS", "DEMO_START_MS", "DemoExchange", "Fault", "SyntheticMarket"]
