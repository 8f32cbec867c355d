"""Every check of the kit, by subject; `CHECKS` holds them in the order they run."""

from vu_core.testing.checks import (
    datasets,
    discovery,
    examining,
    metrics,
    models,
    packaging,
    protocols,
    scorers,
    spec,
    unlearners,
)

CHECKS = (
    *packaging.CHECKS,
    *discovery.CHECKS,
    *spec.CHECKS,
    *unlearners.CHECKS,
    *metrics.CHECKS,
    *examining.CHECKS,
    *datasets.CHECKS,
    *models.CHECKS,
    *scorers.CHECKS,
    *protocols.CHECKS,
)
