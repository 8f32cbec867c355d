"""Whether what was forgotten stands out: losses of D_f beside those of new pictures of its classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp, wasserstein_distance

from vu_core import Measurement
from vu_core.splits import TRAIN
from vu_core.types import FORGET
from vu_metrics_classify.answered import Answered, AnswerMetric
from vu_metrics_classify.config import DistributionConfig
from vu_metrics_classify.membership import SHADOWS, read_feature
from vu_metrics_classify.ranking import auc, auc_interval

Floats = NDArray[np.float64]

_FEWEST = 2
_NO_INTERVAL = "no interval: two equal distributions have a number above 0, and resampling raises it"


class Distributions(AnswerMetric):
    """A number of two distributions: losses, or entropies, of D_f and of the test pictures of its classes."""

    config: DistributionConfig

    def measured(self, answered: Answered) -> list[Measurement]:
        """Return the number in the group ``forget``."""
        chosen = self.forgotten(TRAIN)
        forget, test = self.forget_and_test(answered)
        lacking = self.too_few(forget, test, SHADOWS)
        if min(len(forget), len(test)) < _FEWEST or (lacking and not self.config.allow_few):
            return [self.number(FORGET, None, len(forget), chosen, note=lacking)]
        value, further = self.compared(*(read_feature(one, self.config.feature)[:, 0] for one in (forget, test)))
        note = "; ".join(filter(None, (lacking, further.pop("note", ""))))
        return [self.number(FORGET, value, len(forget), chosen, note=note, **further)]

    def compared(self, forget: Floats, test: Floats) -> tuple[float, dict[str, Any]]:
        """Return the number, and its interval or a note that says why there is none."""
        raise NotImplementedError


class Streisand(Distributions):
    """Probability that a picture to forget has the higher loss than a new one of its classes."""

    def compared(self, forget: Floats, test: Floats) -> tuple[float, dict[str, Any]]:
        """Return the area under the curve."""
        area = auc(forget, test)
        return area, {"interval": auc_interval(area, len(forget), len(test))}


class StreisandKs(Distributions):
    """Kolmogorov and Smirnov's statistic: largest distance of the two distribution functions."""

    def compared(self, forget: Floats, test: Floats) -> tuple[float, dict[str, Any]]:
        """Return the statistic."""
        return float(ks_2samp(forget, test).statistic), {"note": _NO_INTERVAL}


class StreisandWasserstein(Distributions):
    """Wasserstein's distance of order 1: how far losses must be moved to make the two alike."""

    def compared(self, forget: Floats, test: Floats) -> tuple[float, dict[str, Any]]:
        """Return the distance."""
        return float(wasserstein_distance(forget, test)), {"note": _NO_INTERVAL}
