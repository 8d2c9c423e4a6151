"""Market data in: the loader, the Parquet store, and the only door to the exchange's SDK."""
