"""What the specs name."""


class Erase:
    """An unlearner."""


class Accuracy:
    """A metric."""


class Tiny:
    """A dataset."""


class Judge:
    """A scorer."""
