"""The resolver and the built-in strategies."""
