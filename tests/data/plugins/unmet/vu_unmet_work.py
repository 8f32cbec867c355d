"""Imports a library that is not installed."""

import vu_library_that_is_absent  # noqa: F401
