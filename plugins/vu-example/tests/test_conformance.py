"""The contract of vu, checked for this plugin: the same checks as 'vu check vu-example'."""

from vu_core.testing import Case, parametrize


@parametrize("vu-example")
def test_conformance(check: Case) -> None:
    check()
