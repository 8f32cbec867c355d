"""Lets ``python -m vu_core`` do what ``vu`` does."""

from vu_core.cli import main

main()
