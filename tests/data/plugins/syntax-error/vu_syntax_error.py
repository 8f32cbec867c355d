"""Cannot be parsed."""

def vu_unlearners(:
    pass
