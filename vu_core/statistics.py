"""Intervals and paired tests for numbers measured on samples that come in clusters.

Pictures of one prompt resemble each other, so they form a cluster and count together: whole
clusters are resampled, and where clusters are few, each counts as one observation. Treating all
pictures as independent would give intervals that are far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING

from vu_core.errors import ComputeError
from vu_core.types import Interval, Measurement, Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MIN_CLUSTERS = 10
LEVEL = 0.95

# Quantile 0.975 of Student's t, by degrees of freedom.
_STUDENT = {2: 4.302653, 3: 3.182446, 4: 2.776445, 5: 2.570582, 6: 2.446912, 7: 2.364624, 8: 2.306004}

_RESAMPLES = 10_000
_EXACT_FLIPS = 20
_INTERVALS: ContextVar[bool] = ContextVar("intervals", default=True)
_VALUE_ALONE = "no interval: the value alone was asked for"
_CHUNK = 50_000  # indices drawn at once: few enough to stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Change:
    """How much a value changed between two measurements of the same samples.

    Attributes:
        value: After minus before, in the metric's unit; None when it cannot be computed.
        interval: 95 % interval of ``value``; None with a reason in ``note``.
        p_value: Probability of a change at least as large, either way, had nothing changed.
        note: What a reader must know beside the number.
    """

    value: float | None
    interval: Interval | None = None
    p_value: float | None = None
    note: str = ""


def wilson(successes: float, n: float, *, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a share, in [0, 1].

    Args:
        successes: How many of ``n`` succeeded; may be fractional when ``n`` is an effective number.
        n: Independent observations, more than 0.
        level: Coverage, a fraction in (0, 1).

    Raises:
        ValueError: ``successes`` is not in [0, n], or ``n`` is not positive.

    Example:
        >>> interval = wilson(8, 10)
        >>> round(interval.low, 4), round(interval.high, 4)
        (0.4902, 0.9433)
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} are no share")
    z2 = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    share = successes / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == n else min(centre + half, 1.0)
    return Interval(low=low, high=high, level=level, method="wilson")


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    level: float = LEVEL,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of the mean of ``values`` under resampling of whole clusters.

    The order of the samples does not matter.

    Args:
        values: One number a sample.
        clusters: The cluster of each sample, same order.
        level: Coverage, a fraction in (0, 1).
        resamples: Bootstrap replicates.
        seed: Seed of this interval's own generator.

    Raises:
        ComputeError: There are fewer than 10 clusters; intervals of so few are meaningless.

    Example:
        >>> interval = cluster_bootstrap([float(i % 2) for i in range(40)], [str(i // 2) for i in range(40)])
        >>> interval.low, interval.high
        (0.5, 0.5)
    """
    import numpy as np

    sums, sizes = _by_cluster(values, clusters)
    count = len(sums)
    if count < MIN_CLUSTERS:
        raise ComputeError(
            f"{count} prompts are too few for a bootstrap interval", hint=f"At least {MIN_CLUSTERS} are needed."
        )
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, _CHUNK // count)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn = generator.integers(0, count, (stop - start, count))
        means[start:stop] = sums.take(drawn).sum(axis=1) / sizes.take(drawn).sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level, method="cluster-bootstrap")


def cluster_student(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """Return Student's 95 % interval of the mean of ``values``, for 3 to 9 clusters.

    The spread is that of the clusters' sums about the mean, so clusters may differ in size.

    Args:
        values: One number a sample.
        clusters: The cluster of each sample, same order.

    Raises:
        ComputeError: There are fewer than 3 clusters, or so many that they can be resampled.

    Example:
        >>> interval = cluster_student([5, 5.2, 4.8, 5.4, 4.6], list("abcde"))
        >>> round(interval.low, 4), round(interval.high, 4)
        (4.6074, 5.3926)
    """
    sums, sizes = _by_cluster(values, clusters)
    count = len(sums)
    if count - 1 not in _STUDENT:
        raise ComputeError(f"{count} prompts, Student's interval is for 3 to {MIN_CLUSTERS - 1}")
    mean = float(sums.sum() / sizes.sum())
    deviations = (sums - mean * sizes) / sizes.mean()
    half = _STUDENT[count - 1] * float(deviations.std(ddof=1)) / math.sqrt(count)
    return Interval(low=mean - half, high=mean + half, level=LEVEL, method="student")


def newcombe(before: Sequence[float], after: Sequence[float], *, n: float, level: float = LEVEL) -> Interval:
    """Return Newcombe's interval of the difference of two paired shares, after minus before.

    Method 10 of R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650: the Wilson limits of
    both shares, combined through their correlation. It stays sensible where nothing varies.

    Args:
        before: 0 or 1 a sample.
        after: 0 or 1 a sample, same order.
        n: Independent observations among them, at most their number.
        level: Coverage, a fraction in (0, 1).
    """
    import numpy as np

    x, y = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    both, neither = n * float((x * y).mean()), n * float(((1 - x) * (1 - y)).mean())
    first, second = n * float((x * (1 - y)).mean()), n * float((y * (1 - x)).mean())
    p, q = (both + second) / n, (both + first) / n
    product = (both + second) * (first + neither) * (both + first) * (second + neither)
    surplus = both * neither - first * second
    phi = (max(surplus - n / 2, 0.0) if surplus > 0 else surplus) / math.sqrt(product) if product > 0 else 0.0
    limits_p, limits_q = wilson(min(p * n, n), n, level=level), wilson(min(q * n, n), n, level=level)

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    low = p - q - distance(p - limits_p.low, limits_q.high - q)
    high = p - q + distance(limits_p.high - p, q - limits_q.low)
    return Interval(low=low, high=high, level=level, method="newcombe")


def sign_flip(
    differences: Sequence[float], clusters: Sequence[str] = (), *, flips: int = _RESAMPLES, seed: int = 0
) -> float:
    """Return the p-value that paired differences are centred on zero, by flipping signs; of shares McNemar's exact one.

    All differences of a cluster are flipped together. Exact when at most 20 clusters differ from
    zero; otherwise from random flips, the observed signs counted among them.

    Args:
        differences: After minus before, one a sample.
        clusters: The cluster of each sample; empty when every sample stands alone.
        flips: Random sign patterns when they are not enumerated.
        seed: Seed of this test's own generator.
    """
    import numpy as np

    sums = np.asarray(differences, dtype=np.float64)
    if clusters:
        sums, _ = _by_cluster(differences, clusters)
    sums = sums[sums != 0]
    # Sums of one pattern differ in their last bits by the order of adding, also where they nearly cancel.
    observed = abs(float(sums.sum())) - 1e-12 * float(np.abs(sums).sum())
    if len(sums) <= _EXACT_FLIPS:
        totals = np.zeros(1)
        for value in sums:
            totals = np.concatenate([totals + value, totals - value])
        return float((np.abs(totals) >= observed).mean())
    signs = np.random.default_rng(seed).integers(0, 2, (flips, len(sums)), dtype=np.int8) * 2 - 1
    return float((1 + (np.abs(signs @ sums) >= observed).sum()) / (1 + flips))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being several (Holm 1979), in their order.

    Whoever believes all tests whose corrected value is below 0.05 believes any false one with a chance of at most
    5 %, however the tests depend on each other.

    Args:
        p_values: Of all tests from which claims are picked.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def corrected(results: Sequence[Result]) -> list[Result]:
    """Return ``results`` with their p-values corrected by `holm` for being as many as they are."""
    p_values = iter(holm([result.p_value for result in results if result.p_value is not None]))
    return [replace(result, p_holm=None if result.p_value is None else next(p_values)) for result in results]


def mean_measurement(
    group: str,
    values: Sequence[float],
    *,
    sample_ids: Sequence[str],
    clusters: Sequence[str],
    n_excluded: int = 0,
    success: float | None = None,
    note: str = "",
) -> Measurement:
    """Return the measurement that is the mean of ``values``, with its 95 % interval.

    A share has Wilson's interval when every cluster holds one sample; with several samples a
    cluster, the cluster bootstrap, or where clusters are few or nothing varies, Wilson's with as many
    observations as there are clusters. Another mean has the cluster bootstrap, or Student's where
    clusters are few.

    Args:
        group: What was pooled.
        values: One number a sample, in the metric's unit.
        sample_ids: The samples of ``values``, same order.
        clusters: Their clusters, same order.
        n_excluded: Samples of the group that have no value.
        success: The value of a success when every value is either that or 0: 100 for a percentage.
        note: What a reader must know beside the number.

    Raises:
        ComputeError: A value is NaN or infinite.
    """
    import numpy as np

    order = sorted(range(len(values)), key=lambda i: sample_ids[i])
    ordered = np.array([values[i] for i in order], dtype=np.float64)
    if not np.isfinite(ordered).all():
        raise ComputeError(f"a value of group '{group}' is NaN or infinite")
    if not len(ordered):
        reason = "no sample of this group has a picture and a verdict" if n_excluded else "no sample is in this group"
        return Measurement(group=group, value=None, n=0, n_excluded=n_excluded, note=joined(note, reason))
    ordered_clusters = [clusters[i] for i in order]
    wanted = _INTERVALS.get()
    of_share = partial(_of_share, ordered, success) if success else None
    interval, reason = _mean_interval(ordered, ordered_clusters, of_share) if wanted else (None, _VALUE_ALONE)
    return Measurement(
        group=group,
        value=float(ordered.mean()),
        n=len(ordered),
        n_excluded=n_excluded,
        interval=interval,
        values=ordered.tolist(),
        sample_ids=[sample_ids[i] for i in order],
        clusters=ordered_clusters,
        success=success,
        note=joined(note, reason),
    )


def joined(*notes: str) -> str:
    """Return notes as one; those that are empty are left out."""
    return "; ".join(filter(None, notes))


@contextmanager
def values_alone() -> Iterator[None]:
    """Let `mean_measurement` leave out intervals, which cost a bootstrap, where nobody reads them."""
    token = _INTERVALS.set(False)
    try:
        yield
    finally:
        _INTERVALS.reset(token)


def paired_change(before: Measurement, after: Measurement) -> Change:
    """Return the change between two measurements, over the samples that both hold.

    Samples are matched by id: same prompt and same noise before and after. The interval is of the
    mean difference: Newcombe's for shares with one sample a cluster or few clusters, Student's for other
    means with few clusters, else the cluster bootstrap. The p-value flips the signs of whole clusters.
    """
    import numpy as np

    if before.value is None or after.value is None:
        return Change(value=None, note=after.note or before.note)
    if not before.values or not after.values:
        return Change(value=after.value - before.value, note="no interval: this is not a mean of samples")
    earlier = dict(zip(before.sample_ids, before.values, strict=True))
    shared = [i for i, sample in enumerate(after.sample_ids) if sample in earlier]
    if not shared:
        return Change(value=None, note="no sample was measured both before and after")
    x = np.array([earlier[after.sample_ids[i]] for i in shared], dtype=np.float64)
    y = np.array([after.values[i] for i in shared], dtype=np.float64)
    clusters = [after.clusters[i] for i in shared]
    note = ""
    if len(shared) < max(before.n, after.n):
        note = f"the change is over the {len(shared)} samples measured both before and after"
    shares = after.success if before.success == after.success else None
    of_share = partial(_of_changed_share, x, y, shares) if shares else None
    interval, reason = _mean_interval(y - x, clusters, of_share)
    return Change(
        value=float((y - x).mean()),
        interval=interval,
        p_value=sign_flip((y - x).tolist(), clusters),
        note=joined(note, reason),
    )


def _mean_interval(
    values: Floats, clusters: Sequence[str], of_share: Callable[[int], Interval] | None
) -> tuple[Interval | None, str]:
    """Return the interval of a mean, or why there is none; ``of_share`` gives that of a share, of so many clusters."""
    count = len(set(clusters))
    varies = bool((values != values[0]).any())
    if of_share and (count == len(values) or count < MIN_CLUSTERS or not varies):
        return of_share(count), ""
    if count >= MIN_CLUSTERS:
        return cluster_bootstrap(values.tolist(), clusters), ""
    if count - 1 in _STUDENT:
        return cluster_student(values.tolist(), clusters), ""
    return None, f"no interval: {count} {'prompt' if count == 1 else 'prompts'}, 3 are needed"


def _of_share(values: Floats, success: float, count: int) -> Interval:
    return _scaled(wilson(float((values / success).mean()) * count, count), success)


def _of_changed_share(before: Floats, after: Floats, success: float, count: int) -> Interval:
    return _scaled(newcombe((before / success).tolist(), (after / success).tolist(), n=count), success)


def _by_cluster(values: Sequence[float], clusters: Sequence[str]) -> tuple[Floats, Floats]:
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if len(array) != len(clusters):
        raise ValueError(f"{len(array)} values and {len(clusters)} clusters do not match")
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, array, len(names)).astype(np.float64)
    return sums, np.bincount(index, minlength=len(names)).astype(np.float64)


def _scaled(interval: Interval, factor: float) -> Interval:
    return replace(interval, low=interval.low * factor, high=interval.high * factor)
