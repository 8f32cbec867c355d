"""Forgot to mark its hook."""


def vu_unlearners():
    return ()
