"""How well a score tells two samples apart: areas, rates, distances of distributions. Scores are float64 arrays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from vu_core import Interval
from vu_core.statistics import LEVEL

Floats = NDArray[np.float64]

_BESIDE = 1e-9


def auc(higher: Floats, lower: Floats) -> float:
    """Return P(h > l) + P(h = l) / 2 of an h drawn from ``higher`` and an l from ``lower``, by ranks.

    Ranks take scores of any scale; a library's area that first squashes scores into [0, 1] would tie large ones.

    Example:
        >>> auc(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6]))
        0.125
    """
    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)].sum()
    return float((ranks - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def auc_interval(area: float, higher: int, lower: int) -> Interval:
    """Return the 95 % interval of an area, of so many scores on each side; it has a width also at 0 and 1.

    Method 5 of R. G. Newcombe, Statistics in Medicine 25 (2006) 559-573: all areas A whose distance from ``area`` is at
    most z times the standard error that Hanley and McNeil give for A.
    """
    z = float(norm.ppf(0.5 + LEVEL / 2))
    extra = (higher + lower) / 2 - 1

    def distance(a: float) -> float:
        spread = 1 + extra * (1 - a) / (2 - a) + extra * a / (1 + a)
        return abs(area - a) - z * math.sqrt(a * (1 - a) * spread / (higher * lower))

    # Areas of 0 and 1 have no error of their own and are roots, too: the search begins beside them.
    low = 0.0 if area <= 0 else brentq(distance, 0.0, min(area, 1 - _BESIDE))
    high = 1.0 if area >= 1 else brentq(distance, max(area, _BESIDE), 1.0)
    return Interval(low=low, high=high, level=LEVEL, method="newcombe-auc")


def rates(members: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Return false- and true-positive rates of taking scores of at least t for members', the strictest t first."""
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    true, false = (1 - np.searchsorted(np.sort(one), thresholds) / len(one) for one in (members, others))
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def true_positive_rate(members: Floats, others: Floats, fpr: float) -> float:
    """Return the largest true-positive rate of a threshold whose false-positive rate is at most ``fpr``."""
    false, true = rates(members, others)
    return float(true[false <= fpr + 1e-12].max())


def balanced_accuracy(members: Floats, others: Floats) -> float:
    """Return the largest mean of true-positive and true-negative rate of any threshold."""
    false, true = rates(members, others)
    return float(((1 + true - false) / 2).max())
