"""The embedded exchange: a loopback server over a synthetic market."""
