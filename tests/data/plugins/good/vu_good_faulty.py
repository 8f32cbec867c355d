"""Raises when imported."""

raise RuntimeError("the weights are not there")
