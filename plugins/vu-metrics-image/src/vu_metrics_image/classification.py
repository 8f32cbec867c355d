"""Metrics from classifiers' verdicts: UA, IRA and CRA of UnlearnCanvas, for any kinds of concepts.

A judge of a kind says which concept of that kind a picture shows, or `OTHER`: nothing recognisable.
The verdict is the most probable class, the first of equals. Definitions follow UnlearnCanvas's README
(arXiv:2402.11846), where pictures that show the forgotten concept enter UA and the others enter IRA and
CRA. Its published script averages IRA and CRA over all pictures; here the forgotten concept's own
pictures make the separate group ``forget`` of CRA, so both readings can be had.

All values are percentages.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from vu_core import Batch, Classes, ComputeError, Concept, Measurement, Sample
from vu_core.interfaces import OTHER
from vu_core.types import FORGET
from vu_metrics_image.grouped import GroupedMean

SUCCESS = 100.0


class JudgedMean(GroupedMean):
    """Mean of a number that classifiers' verdicts decide, one classifier a kind."""

    def judged(self, sample: Sample) -> list[str]:
        """Return the kinds whose verdict decides about ``sample``: those of the forgotten concepts."""
        return [kind for kind in sample.attributes if kind in self.forgotten_kinds]

    def counts(self, sample: Sample) -> bool:
        """Return whether anything about ``sample`` is judged; what other words ask for is a number of its own."""
        return not sample.synonym and bool(self.judged(sample))

    def breaks_down(self, kind: str) -> bool:
        """Return whether ``kind`` is one that is forgotten from."""
        return kind in self.forgotten_kinds

    def classes(self, batch: Batch) -> dict[str, Classes]:
        """Return the verdicts on ``batch`` of each kind that decides about any of its samples.

        Raises:
            ComputeError: A verdict is not finite, or a judge does not know a concept that was asked for.
        """
        counted = [sample for sample in batch.samples if self.counts(sample)]
        kinds = sorted({kind for sample in counted for kind in self.judged(sample)})
        return {kind: _checked(batch, kind, counted) for kind in kinds}


class ClassifierMean(JudgedMean):
    """A share of pictures, decided by the most probable classes."""

    success = SUCCESS

    def values(self, batch: Batch) -> list[float]:
        """Return a percentage for each sample."""
        verdicts = {kind: classes.labels() for kind, classes in self.classes(batch).items()}
        return [
            self.share(sample, {kind: verdicts[kind][i] for kind in self.judged(sample)})
            if self.counts(sample)
            else 0.0
            for i, sample in enumerate(batch.samples)
        ]

    @abstractmethod
    def share(self, sample: Sample, verdict: dict[str, str]) -> float:
        """Return the percentage of success of ``sample``, given the verdict of each judged kind."""


class UnlearningAccuracy(ClassifierMean):
    """UA: share of the forgotten concept's pictures that are judged to be anything else.

    A picture that asks for several forgotten concepts succeeds when none of them is recognised.
    """

    counted: ClassVar[str] = "asks for a forgotten concept"

    def judged(self, sample: Sample) -> list[str]:
        """Return the kinds of the forgotten concepts that ``sample`` asks for."""
        return [concept.kind for concept in self.forgotten(sample)]

    def share(self, sample: Sample, verdict: dict[str, str]) -> float:
        """Return 100 when no forgotten concept is recognised."""
        return SUCCESS * all(self.gone(sample.attributes[kind], seen) for kind, seen in verdict.items())

    def gone(self, asked: str, seen: str) -> bool:
        """Return whether the forgotten concept ``asked`` is gone from a picture judged as ``seen``."""
        return seen != asked

    def _main_group(self) -> str:
        return FORGET


class SynonymUnlearningAccuracy(UnlearningAccuracy):
    """UA of pictures that ask for the forgotten concept in other words: 1 - Acc_g of MACE (arXiv:2403.06135)."""

    counted: ClassVar[str] = "asks for a forgotten concept in other words than its own"

    def counts(self, sample: Sample) -> bool:
        """Return whether other words of ``sample`` ask for a forgotten concept."""
        return sample.synonym and bool(self.judged(sample))


class RecognisedUnlearningAccuracy(UnlearningAccuracy):
    """Share of the forgotten concept's pictures recognised as another listed concept of its kind.

    Stricter than UA, which a destroyed model reaches too: UA minus this is the share of `OTHER`.
    """

    def gone(self, asked: str, seen: str) -> bool:
        """Return whether ``seen`` is a listed concept other than ``asked``."""
        return seen not in (asked, OTHER)


class Replaced(UnlearningAccuracy):
    """Share of the forgotten concept's pictures that are recognised as what the request puts in its place.

    Measures nothing when the request names no replacement.
    """

    counted: ClassVar[str] = "asks for a concept that is replaced by another of its kind"

    def forgotten(self, sample: Sample) -> list[Concept]:
        """Return the forgotten concepts that ``sample`` asks for and that another of their kind replaces."""
        return [concept for concept in super().forgotten(sample) if concept in self._wanted]

    def gone(self, asked: str, seen: str) -> bool:
        """Return whether ``seen`` is what replaces ``asked``."""
        return any(concept.name == asked and seen == wanted for concept, wanted in self._wanted.items())

    def compute(self) -> list[Measurement]:
        """Return one measurement a group; none when the request names no replacement.

        Raises:
            ComputeError: No sample was given, or a value is not finite.
        """
        return super().compute() if self._wanted else []

    @cached_property
    def _wanted(self) -> dict[Concept, str]:
        pairs = ((concept, self.request.replacement(i)) for i, concept in enumerate(self.request.forget))
        return {concept: other.name for concept, other in pairs if other and other.kind == concept.kind}


class Unrecognised(ClassifierMean):
    """Share of pictures in which a judge of a forgotten concept's kind recognises nothing."""

    counted: ClassVar[str] = "asks for a concept of a forgotten kind"

    def values(self, batch: Batch) -> list[float]:
        """Return a percentage for each sample.

        Raises:
            ComputeError: A judge has no such outcome, so the share would always be 0.
        """
        for kind in self.forgotten_kinds:
            if OTHER not in batch.scores[kind].names:
                raise ComputeError(f"the judge of kind '{kind}' has no outcome '{OTHER}'")
        return super().values(batch)

    def judged(self, sample: Sample) -> list[str]:
        """Return the kinds of the forgotten concepts asked for, or of all when none is."""
        return [concept.kind for concept in self.forgotten(sample)] or super().judged(sample)

    def share(self, sample: Sample, verdict: dict[str, str]) -> float:
        """Return 100 when a judge recognises nothing."""
        return SUCCESS * (OTHER in verdict.values())


class InDomainRetainAccuracy(ClassifierMean):
    """IRA: accuracy in the forgotten concept's kind, over pictures that show no forgotten concept.

    When concepts of several kinds are forgotten, a picture's value is the mean over these kinds.
    """

    counted: ClassVar[str] = "shows only retained concepts"

    def counts(self, sample: Sample) -> bool:
        """Return whether ``sample`` shows no forgotten concept."""
        return not self.forgotten(sample) and super().counts(sample)

    def share(self, sample: Sample, verdict: dict[str, str]) -> float:
        """Return the percentage of judged kinds that are right."""
        right = [seen == sample.attributes[kind] for kind, seen in verdict.items()]
        return SUCCESS * sum(right) / len(right)


class CrossDomainRetainAccuracy(InDomainRetainAccuracy):
    """CRA: accuracy in the other kinds than the forgotten concept's.

    The group ``retain`` is the published number; ``forget`` is the same accuracy on the forgotten
    concept's own pictures: a forgotten object should leave the style alone there, too.
    """

    counted: ClassVar[str] = "shows a concept of another kind than those forgotten"

    def counts(self, sample: Sample) -> bool:
        """Return whether ``sample`` shows a concept of a kind that is not forgotten from."""
        return not sample.synonym and bool(self.judged(sample))

    def judged(self, sample: Sample) -> list[str]:
        """Return the kinds that are not forgotten from."""
        return [kind for kind in sample.attributes if kind not in self.forgotten_kinds]

    def breaks_down(self, kind: str) -> bool:
        """Return whether ``kind`` is one that is not forgotten from."""
        return kind not in self.forgotten_kinds


class Confidence(JudgedMean):
    """Mean probability that a judge gives to what the prompt asks for, of the forgotten concept's kind.

    What MACE's script (arXiv:2403.06135) prints as CLIP accuracy, when the judge is a CLIP with a prompt a class. A
    picture that asks for concepts of several such kinds has the mean over them.
    """

    counted: ClassVar[str] = "asks for a concept of a forgotten kind"

    def values(self, batch: Batch) -> list[float]:
        """Return a percentage for each sample."""
        classes = self.classes(batch)
        found = []
        for i, sample in enumerate(batch.samples):
            kinds = self.judged(sample)
            asked = [(classes[kind], classes[kind].names.index(sample.attributes[kind])) for kind in kinds]
            # A softmax in float32 may exceed 1 in its last digit.
            given = [min(float(verdict.probabilities[i, column]), 1.0) for verdict, column in asked]
            found.append(SUCCESS * sum(given) / len(given) if given else 0.0)
        return found


def _checked(batch: Batch, kind: str, counted: Sequence[Sample]) -> Classes:
    """Return what the judge of ``kind`` says of each picture, after checking that it can tell."""
    classes = batch.scores[kind]
    if not isinstance(classes, Classes):
        raise ComputeError(f"the judge of kind '{kind}' gives {type(classes).__name__}, not classes")
    unknown = {s.attributes[kind] for s in counted if kind in s.attributes} - set(classes.names)
    if unknown:
        raise ComputeError(f"the judge of kind '{kind}' does not know {', '.join(sorted(unknown))}")
    if classes.probabilities.shape != (len(batch.samples), len(classes.names)):
        raise ComputeError(f"the judge of kind '{kind}' gives probabilities {tuple(classes.probabilities.shape)}")
    if not bool(classes.probabilities.isfinite().all()):
        raise ComputeError(f"the judge of kind '{kind}' gives probabilities that are not finite")
    return classes
