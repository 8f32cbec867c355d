"""How near unlearners of classifiers come to retraining, and at what cost: digits and clothes, a class and a tenth.

    python studies/classification.py --work FOLDER [--only TASK ...] [--page docs/results/classification.md]

For each task the models are retrained that are lacking, two options of every method are searched by ``vu tune`` on a
request that is not reported, and one ``vu bench`` forgets each reported request by all of them. Interrupt it when you
like; it continues where it stopped, as long as ``FOLDER`` stays where it is. Ten minutes of processor time for the
digits, an hour for a table of the clothes. The words of the page are in classification.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classification_page import Chosen, Measured, Task, write_page
from study import carry_out
from vu_tune.objectives import Objective
from vu_tune.search import TunePlan, check_plan, search
from vu_tune.space import read_space

from vu_core import bench
from vu_core.benchplan import plan_bench
from vu_core.datasets import open_dataset
from vu_core.files import write_text
from vu_core.progress import say, track
from vu_core.records import read_record
from vu_core.registry import Registry
from vu_core.splits import TRAIN, draw
from vu_core.stages import Surface

RETRAIN, GAP = "retrain", "average_gap"
METRICS = ("unlearning_accuracy", "retain_accuracy", "test_accuracy", "mia_svc", GAP)
SHARE = 0.1
# Beyond those of the retrained models that plugins carry.
FIRST_RETRAINED = 101
TUNING_SEED = 0

# By method: the options that are searched, and those that stay beside the published defaults.
Searched = Mapping[str, tuple[tuple[str, str], Mapping[str, Any]]]

_SMALL = {"batch_size": 64}
_DAMPENED = ("selection=0.5:100:log", "dampening=0.01:1:log")
DIGITS: Searched = {
    "fine-tune": (("learning_rate=1e-3:0.5:log", "epochs=1:20"), _SMALL),
    "gradient-ascent": (("learning_rate=1e-4:0.5:log", "epochs=1:10"), _SMALL),
    "neggrad-plus": (("learning_rate=1e-3:0.3:log", "retain_weight=0.5:0.99"), {**_SMALL, "max_forget_loss": 10.0}),
    "random-label": (("learning_rate=1e-3:0.3:log", "epochs=1:10"), _SMALL),
    "l1-sparse": (("learning_rate=1e-3:0.5:log", "sparsity=1e-5:1e-2:log"), _SMALL),
    "salun": (("learning_rate=1e-3:0.3:log", "share=0.1:0.9"), _SMALL),
    "ssd": (_DAMPENED, {}),
    "lfssd": (_DAMPENED, {}),
    "assd": (("dampening=0.001:1:log", "batch_size=16,64,256"), {}),
    "scrub": (("learning_rate=1e-3:0.3:log", "max_epochs=1:9"), {**_SMALL, "epochs": 10, "clip": 1.0}),
    "bad-teacher": (("learning_rate=1e-4:0.05:log", "epochs=1:10"), {**_SMALL, "retain_share": 1.0}),
    "boundary-shrink": (("learning_rate=1e-4:0.3:log", "step=0.05:1:log"), {**_SMALL, "epochs": 5}),
    "unsir": (("learning_rate=1e-4:0.05:log", "repair_learning_rate=1e-4:0.05:log"), _SMALL),
    "jit": (("learning_rate=1e-5:3:log", "noise=0.01:1:log"), {}),
}
_ONE = {"epochs": 1}
_ONE_SMALL = {**_SMALL, **_ONE}
# An epoch of retained clothes is an eighth of retraining: methods that read them get one. Few settings, narrow ranges.
FASHION: Searched = {
    "fine-tune": (("learning_rate=0.01:0.2:log", "weight_decay=1e-5:1e-2:log"), _ONE_SMALL),
    "gradient-ascent": (("learning_rate=3e-5:3e-3:log", "epochs=1:3"), _SMALL),
    "neggrad-plus": (
        ("learning_rate=3e-3:0.05:log", "retain_weight=0.8:0.99"),
        {**_ONE_SMALL, "max_forget_loss": 10.0},
    ),
    "random-label": (("learning_rate=3e-3:0.05:log", "weight_decay=1e-5:1e-2:log"), _ONE_SMALL),
    "l1-sparse": (("learning_rate=0.01:0.2:log", "sparsity=1e-6:1e-3:log"), _ONE_SMALL),
    "salun": (("learning_rate=3e-3:0.05:log", "share=0.3:0.9"), _ONE_SMALL),
    "ssd": (("selection=2:50:log", "dampening=0.1:1:log"), {}),
    "lfssd": (("selection=2:50:log", "dampening=0.1:1:log"), {}),
    "assd": (("dampening=0.01:1:log", "batch_size=64,128,256"), {}),
    "scrub": (
        ("learning_rate=1e-3:0.03:log", "teacher_weight=1e-3:0.1:log"),
        {**_ONE_SMALL, "max_epochs": 1, "clip": 1.0},
    ),
    "bad-teacher": (("learning_rate=1e-4:3e-3:log", "retain_share=0.1:0.5"), _SMALL),
    "boundary-shrink": (("learning_rate=1e-4:3e-3:log", "step=0.05:0.5:log"), _ONE_SMALL),
    "unsir": (("learning_rate=3e-4:0.01:log", "repair_learning_rate=3e-4:0.01:log"), {**_SMALL, "retain_each": 300}),
    "jit": (("learning_rate=1e-4:0.03:log", "noise=0.1:0.8:log"), {"samples": 5}),
    "ct": (("learning_rate=0.01:0.2:log", "weight_decay=1e-5:1e-2:log"), _ONE),
    "msg": (("learning_rate=0.01:0.2:log", "share=0.1:0.5"), _ONE),
}


def for_samples(methods: Searched) -> Searched:
    """Return the methods that are defined for sets of samples: boundary shrink and UNSIR are for classes."""
    return {name: one for name, one in methods.items() if name not in ("boundary-shrink", "unsir")}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One thing to forget.

    Attributes:
        name: Of its folders.
        forget: The concept.
        data: Options of the dataset.
        drawn: Seed of the tenth of the training pictures that the study draws; None where the dataset names it.
        seeds: Of the unlearners.
        retrained: How many models are retrained for it, beside those that the plugin carries.
    """

    name: str
    forget: str
    data: Mapping[str, Any] = field(default_factory=dict)
    drawn: int | None = None
    seeds: tuple[int, ...] = (TUNING_SEED,)
    retrained: int = 1


def tenth(seed: int, seeds: tuple[int, ...] = (TUNING_SEED,), retrained: int = 5) -> Asked:
    """Return the request to forget a tenth of the training pictures that the study draws."""
    name = f"tenth-{seed}"
    return Asked(name=name, forget="samples:listed", drawn=seed, seeds=seeds, retrained=retrained)


@dataclass(frozen=True, kw_only=True)
class Study:
    """One table: what is tuned on what, and what is reported.

    Attributes:
        task: How the table is called, and on which model.
        tuned: What options are chosen on.
        reported: What the table is about; nothing of it is tuned on.
        methods: What is searched.
        trials: Settings that each method gets.
    """

    task: Task
    tuned: Asked
    reported: tuple[Asked, ...]
    methods: Searched
    trials: int


FIVE = tuple(range(1, 6))
_TROUSER = Asked(name="Trouser", forget="Trouser", seeds=FIVE)
_TENTH = Asked(name="tenth", forget="samples:random", data={"samples": SHARE}, seeds=FIVE)
STUDIES = (
    Study(
        task=Task("digits-class", "digits", "class", "Digits: a class"),
        tuned=Asked(name="0", forget="0"),
        reported=tuple(Asked(name=digit, forget=digit, seeds=(number,)) for number, digit in enumerate("13579", 1)),
        methods=DIGITS,
        trials=20,
    ),
    Study(
        task=Task("digits-random", "digits", "random", "Digits: a random tenth"),
        tuned=tenth(0),
        reported=tuple(tenth(number, seeds=(number,)) for number in FIVE),
        methods=for_samples(DIGITS),
        trials=20,
    ),
    Study(
        task=Task("fashion-class", "fashion", "class", "Clothes: a class"),
        tuned=Asked(name="T-shirt", forget="T-shirt/top", retrained=3),
        reported=(_TROUSER,),
        methods=FASHION,
        trials=5,
    ),
    Study(
        task=Task("fashion-random", "fashion", "random", "Clothes: a random tenth"),
        tuned=tenth(0, retrained=3),
        reported=(_TENTH,),
        methods=for_samples(FASHION),
        trials=5,
    ),
)


@dataclass(frozen=True)
class Carrier:
    """Carries out one study in its folder.

    Attributes:
        study: What is done.
        work: Its folder.
        registry: The installed components.
        surface: Shows how far it is.
    """

    study: Study
    work: Path
    registry: Registry
    surface: Surface

    def measured(self) -> Measured:
        """Carry out what is not done yet and return what all of it came to."""
        retrained = {
            asked.name: self._bench(asked, RETRAIN, [RETRAIN], self._retrained_seeds(asked), {}, METRICS[:1])
            for asked in (self.study.tuned, *self.study.reported)
        }
        chosen = {name: found for name in self.study.methods if (found := self._tuned(name))}
        options = {f"{name}.{key}": value for name, found in chosen.items() for key, value in found.options.items()}
        place = f"reported-{self.study.trials}"
        runs = {
            asked.name: self._bench(asked, place, list(chosen), asked.seeds, options, METRICS)
            for asked in self.study.reported
        }
        return Measured(
            task=self.study.task,
            tuned_on=self.study.tuned.name,
            trials=self.study.trials,
            chosen=chosen,
            searched={name: searched for name, (searched, _) in self.study.methods.items()},
            runs=[(name, read_record(folder)) for name, folders in runs.items() for folder in folders],
            retrained=[read_record(folder) for name in runs for folder in retrained[name]],
            cpu_seconds=sum(map(cpu_seconds, self.work.rglob("record.json"))),
        )

    def _tuned(self, method: str) -> Chosen | None:
        """Return the options that were best on the tuned request; None where no setting gave a number."""
        searched, fixed = self.study.methods[method]
        config = self.registry.get("unlearner", method).config_class()
        plan = TunePlan(
            unlearner=method,
            protocol=self.study.task.protocol,
            forget=(self.study.tuned.forget,),
            seeds=self.study.tuned.seeds,
            space=read_space(searched, config),
            objectives=(Objective(metric=GAP, group="all", direction="down"),),
            trials=self.study.trials,
            seed=0,
            options=fixed,
            common=self._common(self.study.tuned),
        )
        check_plan(plan, self.registry)
        self.surface.say(f"{self.study.task.name}: {method}")
        found = search(plan, self.work / "tuned" / method, self.registry, self.surface)
        best = min((one for one in found if one.best), key=lambda one: one.number, default=None)
        return Chosen({**fixed, **best.options}, best.values[0]) if best else None

    def _bench(
        self,
        asked: Asked,
        name: str,
        methods: Sequence[str],
        seeds: Sequence[int],
        options: Mapping[str, Any],
        metrics: Sequence[str],
    ) -> list[Path]:
        """Carry out a bench of one request and return the folders of its finished runs."""
        plan = plan_bench(
            self.study.task.protocol,
            methods,
            self.registry,
            forget=[asked.forget],
            seeds=seeds,
            options=options,
            common={**self._common(asked, beside=name != RETRAIN), "metrics": metrics},
        )
        self.surface.say(f"{self.study.task.name}: {name} {asked.name}")
        folder = self.work / name / asked.name
        record = bench.carry_out(plan, folder, self.registry, self.surface)
        return [folder / outcome.run.folder for outcome in record.outcomes if outcome.status == "finished"]

    def _common(self, asked: Asked, *, beside: bool = True) -> dict[str, Any]:
        data = dict(asked.data)
        if asked.drawn is not None:
            data["indices"] = str(self._drawn(asked))
        models = {"retrained": (str(self.work / RETRAIN / asked.name),)} if beside else {}
        return {"model": self.study.task.model, "data": data, "preset": "none", "device": "cpu", **models}

    def _drawn(self, asked: Asked) -> Path:
        """Return the file that lists the pictures to forget."""
        path = self.work / "drawn" / f"{asked.name}.txt"
        if not path.is_file():
            dataset: Any = open_dataset(self.registry.get("dataset", self.study.task.model))
            ids = [picture.id for picture in dataset.pictures(TRAIN)]
            ids.sort(key=lambda id_: draw(asked.drawn or 0, "study", id_))
            write_text(path, "\n".join(sorted(ids[: round(SHARE * len(ids))])) + "\n")
        return path

    @staticmethod
    def _retrained_seeds(asked: Asked) -> range:
        return range(FIRST_RETRAINED, FIRST_RETRAINED + asked.retrained)


def cpu_seconds(record: Path) -> float:
    """Return the processor time of all stages of a run, of all attempts."""
    found = read_record(record.parent)
    return sum(stage.cpu_seconds or 0.0 for stage in (*found.resumed, *found.stages))


def main() -> None:
    """Carry out the study and write its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; kept, to continue")
    names = [study.task.name for study in STUDIES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="the tasks to carry out")
    parser.add_argument("--page", type=Path, default=Path("docs/results/classification.md"))
    arguments = parser.parse_args()
    # Nobody reads the pages of a thousand runs.
    os.environ.setdefault("VU_PLUGINS_OFF", "vu-report")
    work, registry = arguments.work.absolute(), Registry.discover()
    surface = Surface(track=track, say=say)
    chosen = [study for study in STUDIES if study.task.name in arguments.only]
    found = [Carrier(study, work / study.task.name, registry, surface).measured() for study in chosen]
    write_page(found, [study.task for study in STUDIES if study not in chosen], arguments.page)


if __name__ == "__main__":
    carry_out(main)
