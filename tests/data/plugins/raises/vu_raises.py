"""Raises when imported."""

raise RuntimeError("no licence file\nsee the manual")
