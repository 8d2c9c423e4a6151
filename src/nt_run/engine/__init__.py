"""The engine: instrument, bars, venue and one run; the only door to Nautilus besides the strategies."""
