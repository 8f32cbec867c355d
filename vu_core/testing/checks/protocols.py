"""What every protocol file keeps: it parses, and everything that it names is there."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

from vu_core.datasets import open_dataset
from vu_core.errors import DataError, VuError
from vu_core.interfaces import MODEL
from vu_core.meters import metric_use
from vu_core.protocols import Protocol, load_protocol, samples_of
from vu_core.testing.cases import Check, CheckError, Component, expect
from vu_core.types import Concept, Request, Sample


def check_file(component: Component) -> None:
    """The file parses, and calls itself as the spec does."""
    _protocol(component)


def check_names(component: Component) -> None:
    """Dataset, metrics and scorers that it names are installed, or it says what they take."""
    protocol = _protocol(component)
    named = [("dataset", protocol.dataset)] if protocol.dataset else []
    named += [("scorer", name) for name in protocol.scorers.values()] + [("metric", name) for name in protocol.metrics]
    missing = []
    for kind, name in named:
        try:
            component.registry.get(kind, name)
        except VuError:
            if name not in protocol.needs:
                missing.append(f"{kind} '{name}'")
    fix = "Correct the name, or install the plugin that provides it, or say in [needs] what it takes."
    expect(not missing, f"it names what is not installed: {', '.join(missing)}", fix)
    idle = [name for name in protocol.needs if name not in {name for _, name in named}]
    expect(not idle, f"[needs] names {', '.join(idle)}, which it does not use", "Remove it from [needs].")


def check_metrics(component: Component) -> None:
    """Every metric finds a scorer for each role it needs, and accepts its options."""
    protocol = _protocol(component)
    for name, options in protocol.metrics.items():
        found = component.registry.find("metric", name)
        for entry in found[:1]:  # check_names tells of those that are missing
            measured = MODEL if protocol.pictures else ""
            lacking = [role for role in entry.spec.roles(protocol.kinds) if role not in (measured, *protocol.scorers)]
            fix = "Name one in [scorers]: " + ", ".join(f'{role} = "..."' for role in lacking)
            expect(not lacking, f"metric '{name}' needs a scorer for {', '.join(lacking)}", fix)
            try:
                metric_use(entry, options, Request(forget=(Concept(name="any"),)), ())
            except VuError as error:
                raise CheckError(error.message, error.hint or "Correct the options in [metrics].") from error


def check_samples(component: Component) -> None:
    """The samples have unique ids that can be file names, and each shows a concept of every kind of the grid.

    A dataset's pictures are those of a fake one where the protocol leaves the dataset open.
    """
    protocol = _protocol(component)
    samples = _samples(component, protocol)
    expect(bool(samples), "it asks for no picture", "Name concepts in [grid] that the dataset has.")
    repeated = [name for name, count in Counter(sample.id.lower() for sample in samples).items() if count > 1]
    fix = "Name concepts so that they differ in letters and digits: ids are made of those, and become file names."
    expect(not repeated, f"{len(repeated)} ids stand for several samples, such as '{'/'.join(repeated[:1])}'", fix)
    if protocol.pictures:
        return
    lacking = [sample.id for sample in samples if set(sample.attributes) != set(protocol.kinds)]
    expect(not lacking, f"sample {lacking[:1]} does not show all of {protocol.kinds}", "Correct [grid].")


def check_deviations(component: Component) -> None:
    """What differs from a published procedure is said, and every number to compare with names its source."""
    protocol = _protocol(component)
    fix = "Describe the procedure in [original], so that runs can be held against it."
    expect(not protocol.published or protocol.original is not None, "it has [[published]] but no [original]", fix)
    where = re.compile(r"arXiv:\d{4}\.\d{4,5}\S*|(doi:)?10\.\d{4,}/\S+|https?://\S+")
    vague = [row.method for row in protocol.published if not where.fullmatch(row.source)]
    expect(not vague, f"the numbers of {', '.join(vague)} have no source", "Give an arXiv id, a DOI or a URL.")


def _protocol(component: Component) -> Protocol:
    name = f"{component.plugin}:{component.spec.name}" if component.plugin else component.spec.name
    try:
        return load_protocol(name, component.registry)
    except VuError as error:
        raise CheckError(error.message, error.hint or "Correct the file.") from error


def _samples(component: Component, protocol: Protocol) -> list[Sample]:
    from vu_core.testing.fake_data import FakeDataset

    try:
        entry = component.registry.get("dataset", protocol.dataset) if protocol.dataset else None
        dataset = FakeDataset() if protocol.pictures and entry is None else open_dataset(entry)
        return list(samples_of(protocol, dataset, (Concept(name="any"),)))
    except DataError:
        raise
    except VuError as error:
        raise CheckError(error.message, error.hint or "Correct [grid] or the dataset's name.") from error


_check = partial(Check, subject="protocol")

CHECKS = (
    _check(check_file),
    _check(check_names),
    _check(check_metrics),
    _check(check_samples),
    _check(check_deviations),
)
