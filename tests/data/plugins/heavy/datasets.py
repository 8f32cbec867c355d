"""Stands for the real library of this name."""
