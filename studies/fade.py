"""What FADE forgets and keeps on the embedded model, beside UCE on the same requests.

    python studies/fade.py --work FOLDER [--seeds 3] [--finished] [--page docs/results/fade.md]

FADE runs once for each request and seed; UCE, which draws no random number, once for each request. Six settings on
the style that the preset for styles was chosen on show what more forgetting costs. 46 runs with three seeds, some four
minutes each on one idle core. Interrupt it when you like; it continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from study import FORGET, RETAIN, Bench, Outcome, StudyError, StudyRun, carry_out, pool, share

from vu_core.events import EVENTS_FILE
from vu_core.runspec import RunSpec

# None of these is among what the presets were chosen on: cat, dog, car and bus, and the style noto.
OBJECTS = {"tiger": "bear", "rabbit": "penguin", "house": "castle", "banana": "grapes", "rocket": "sailboat"}
STYLES = {"twemoji": "emojitwo", "flat": "emojitwo", "mono": "flat", "emojitwo": "flat", "blob": "emojitwo"}
PROTOCOL = "emoji-quick@1"
FADE, FADE_STYLES, UCE = "FADE", "FADE, `--preset styles`", "UCE"
UCE_OBJECTS, UCE_STYLES, FRONT_NAME = "UCE on objects", "UCE on styles", "the settings on the tuned style"
# Forgetting against keeping, on the style that the preset for styles was chosen on: what differs from that preset.
TUNED_ON, TUNED_FOR = "noto", "twemoji"
FRONT: Sequence[Mapping[str, float]] = (
    {},
    {"steps": 200},
    {"steps": 100},
    {"steps": 200, "pictures_each": 16},
    {"steps": 200, "forget_weight": 3.0},
    {"steps": 200, "rank": 16, "alpha": 16.0},
)
FRONT_PROTOCOL = str(Path(__file__).parent / "curve.toml")
SHEETS = {"fade-tiger-to-bear-0": "tiger-to-bear", "fade-styles-mono-to-flat-0": "mono-to-flat"}
GOAL_UA, GOAL_CHANGE, GOAL_SECONDS = 95.0, 5.0, 300.0


def runs(unlearner: str, seed: int, concepts: Mapping[str, str], *, preset: str = "") -> list[StudyRun]:
    """Return one run for each of ``concepts``, which are ``OBJECTS`` or ``STYLES``."""
    kind = "style:" if concepts is STYLES else ""
    return [
        StudyRun(
            name="-".join(filter(None, [unlearner, preset, old, "to", new, str(seed)])),
            title=f"{old} -> {new}",
            spec=RunSpec(
                unlearner=unlearner,
                forget=(f"{kind}{old}",),
                replace_with=(f"{kind}{new}",),
                protocol=PROTOCOL,
                preset=preset,
                seed=seed,
            ),
        )
        for old, new in concepts.items()
    ]


def front_runs() -> list[StudyRun]:
    """Return one run for each of ``FRONT``."""
    return [
        StudyRun(
            name="-".join(["front", TUNED_ON, *(f"{key}={value:g}" for key, value in changed.items())]),
            title=", ".join(f"{key} {value:g}" for key, value in changed.items()) or "the preset",
            spec=RunSpec(
                unlearner="fade",
                forget=(f"style:{TUNED_ON}",),
                replace_with=(f"style:{TUNED_FOR}",),
                protocol=FRONT_PROTOCOL,
                preset="styles",
                options=dict(changed),
            ),
        )
        for changed in FRONT
    ]


def quality_row(title: str, outcomes: Sequence[Outcome]) -> str:
    """Return a table row: what was forgotten, what took its place, and the changes of what was to be kept."""
    forgotten = [pool(outcomes, metric, FORGET).after for metric in ("ua", "ua_recognised", "replaced")]
    kept = [pool(outcomes, metric, RETAIN) for metric in ("ira", "cra", "clip_score")]
    cells = [
        seeds_of(outcomes),
        *(share(found.value, found.interval) for found in forgotten),
        str(forgotten[0].n),
        *(
            f"{share(found.before.value, None)} -> {share(found.after.value, None)} "
            f"({share(found.change.value, found.change.interval, signed=True)})"
            for found in kept
        ),
        str(kept[0].after.n),
    ]
    return f"| {title} | {' | '.join(cells)} |"


def seeds_of(outcomes: Sequence[Outcome]) -> str:
    """Return the seeds of some runs; a hyphen for UCE, which uses none."""
    if outcomes[0].run.spec.unlearner == "uce":
        return "-"
    return ", ".join(map(str, sorted({outcome.run.spec.seed for outcome in outcomes})))


def quality_table(found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return a row for each unlearner's runs together, and one for each request."""
    rows = []
    for unlearner, outcomes in found.items():
        if outcomes:
            rows.append(quality_row(f"**{unlearner}**", outcomes))
        for title in dict.fromkeys(outcome.run.title for outcome in outcomes):
            rows.append(quality_row(f"{unlearner}: {title}", [o for o in outcomes if o.run.title == title]))
    head = "| | seeds | UA % | recognised as another % | replaced % | n | IRA % | CRA % | CLIP score | n |"
    return [head, "|---|---|---|---|---|---|---|---|---|---|", *rows, ""]


@dataclass(frozen=True)
class Point:
    """What one setting reaches.

    Attributes:
        outcome: Its run.
        forgetting: UA, in %.
        keeping: The smaller of the changes of IRA and CRA, in points.
    """

    outcome: Outcome
    forgetting: float
    keeping: float

    def beaten_by(self, other: Point) -> bool:
        """Return whether ``other`` forgets and keeps as much, and more of one."""
        pairs = (self.forgetting, self.keeping), (other.forgetting, other.keeping)
        return pairs[0] != pairs[1] and all(mine <= theirs for mine, theirs in zip(*pairs, strict=True))


def points(outcomes: Sequence[Outcome]) -> list[Point]:
    """Return forgetting and keeping of each setting."""
    return [
        Point(
            outcome,
            pool([outcome], "ua", FORGET).after.value or 0.0,
            min(pool([outcome], metric, RETAIN).change.value or 0.0 for metric in ("ira", "cra")),
        )
        for outcome in outcomes
    ]


def front_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a row for each setting; bold where no other forgets and keeps as much."""
    rows = []
    tried = points(outcomes)
    for point in tried:
        title = point.outcome.run.title
        ua = pool([point.outcome], "ua", FORGET).after
        kept = [pool([point.outcome], metric, RETAIN) for metric in ("ira", "cra")]
        cells = [
            title if any(map(point.beaten_by, tried)) else f"**{title}**",
            share(ua.value, ua.interval),
            str(ua.n),
            *(share(found.change.value, found.change.interval, signed=True) for found in kept),
            str(kept[0].after.n),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return ["| setting | UA % | n | change of IRA | change of CRA | n |", "|---|---|---|---|---|---|", *rows, ""]


def unlearning(outcome: Outcome) -> list[Mapping[str, Any]]:
    """Return the stages in which the edit was made: of a run that was interrupted, those of all attempts."""
    stages = (*outcome.record["resumed"], *outcome.record["stages"])
    return [stage for stage in stages if stage["name"] == "unlearn" and not stage["skipped"]]


def unlearning_seconds(outcome: Outcome) -> float:
    """Return how long making the edit took, in all attempts."""
    return sum(stage["seconds"] for stage in unlearning(outcome))


def cost_table(found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return time, memory and size of the edit by unlearner: smallest, median and largest."""
    rows = []
    for unlearner, outcomes in found.items():
        figures = {
            "{:.1f} s": list(map(unlearning_seconds, outcomes)),
            "{:.0f} MB": [max(stage["peak_memory_bytes"] for stage in unlearning(one)) / 1e6 for one in outcomes],
            "{:.0f} kB": [outcome.record["edit"]["bytes"] / 1e3 for outcome in outcomes],
        }
        cells = [
            ", ".join(form.format(value) for value in (min(v), statistics.median(v), max(v)))
            for form, v in figures.items()
        ]
        rows.append(f"| {unlearner} | {' | '.join(cells)} |")
    return ["| | time of unlearning | peak of resident memory | size of the edit |", "|---|---|---|---|", *rows, ""]


def goal(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Return what was aimed at and, for objects and styles, what was found: means over the pictures of all runs."""
    sentences = []
    for name, chosen in found.items():
        ua = pool(chosen, "ua", FORGET).after.value or 0.0
        changes = {metric.upper(): pool(chosen, metric, RETAIN).change.value or 0.0 for metric in ("ira", "cra")}
        seconds = min(map(unlearning_seconds, chosen))
        met = ua >= GOAL_UA and min(changes.values()) >= -GOAL_CHANGE and seconds <= GOAL_SECONDS
        kept = ", ".join(f"{metric} {share(change, None, signed=True)}" for metric, change in changes.items())
        sentences.append(
            f"{name}, {len(chosen)} runs: {'reached' if met else 'not reached'} "
            f"(UA {ua:.1f} %, {kept} points, {seconds:.0f} s)"
        )
    return (
        f"The goal was a mean UA of at least {GOAL_UA:g} %, IRA and CRA within {GOAL_CHANGE:g} points of the base "
        f"model, and at most {GOAL_SECONDS / 60:g} minutes a concept. {'; '.join(sentences)}. Times are those "
        "of the run that others on the machine disturbed least."
    )


def plotting() -> Any:
    """Return pyplot, set to draw the same file each time."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "vu"
    from matplotlib import pyplot

    return pyplot


def draw_losses(found: Mapping[str, Sequence[Outcome]], path: Path) -> None:
    """Draw FADE's losses by step: mean over runs, and the range of the runs."""
    pyplot = plotting()
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for axes, loss in zip(panels, (FORGET, RETAIN), strict=True):
        for name, outcomes in found.items():
            curves = [losses(outcome, loss) for outcome in outcomes]
            steps = list(curves[0])
            values = [[curve[step] for curve in curves] for step in steps]
            (line,) = axes.plot(steps, [statistics.fmean(v) for v in values], label=name)
            axes.fill_between(steps, list(map(min, values)), list(map(max, values)), color=line.get_color(), alpha=0.15)
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_title(f"{loss} loss", fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def draw_front(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw forgetting against keeping, a point a setting, and a line through those that none beats."""
    pyplot = plotting()
    tried = points(outcomes)
    best = sorted((p for p in tried if not any(map(p.beaten_by, tried))), key=lambda p: (p.keeping, -p.forgetting))
    figure, axes = pyplot.subplots(figsize=(7.5, 4.2))
    axes.plot([p.keeping for p in best], [p.forgetting for p in best], color="0.6", zorder=1)
    places: dict[tuple[float, float], list[str]] = {}
    for point in tried:
        places.setdefault((point.keeping, point.forgetting), []).append(point.outcome.run.title)
    for (keeping, forgetting), titles in places.items():
        axes.scatter([keeping], [forgetting], zorder=2)
        axes.annotate("\n".join(titles), (keeping, forgetting), (5, 4), textcoords="offset points", fontsize=7)
    axes.set_xlabel("smaller of the changes of IRA and CRA, in points")
    axes.set_ylabel("UA, in %")
    axes.margins(0.25, 0.15)
    axes.grid(alpha=0.3)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def losses(outcome: Outcome, name: str) -> dict[int, float]:
    """Return a loss by step, each the mean since the step before; a repeated step counts once."""
    lines = (outcome.folder / EVENTS_FILE).read_text(encoding="utf-8").splitlines()
    return {event["step"]: event[f"loss/{name}"] for event in map(json.loads, lines)}


def facts(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Return versions, seeds, presets and judges in a few sentences."""
    names = ("vu-core", "vu-fade", "vu-train", "vu-uce", "vu-emoji", "torch", "diffusers", "transformers")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    parts = []
    for name, outcomes in found.items():
        record = outcomes[0].record
        config = record["unlearner"]["config"]
        shown = ("rank", "learning_rate", "steps", "forget_weight", "pictures_each")
        options = ", ".join(f"{key} {config[key]}" for key in shown)
        parts.append(f"{name}: seeds {seeds_of(outcomes)}; preset `{record['unlearner']['preset']}` ({options}).")
    judges = ", ".join(f"{role} {scorer['version'][:8]}" for role, scorer in record["scorers"].items())
    threads, cores = record["environment"]["threads"], record["environment"]["cpu_count"]
    return f"{' '.join(parts)} {versions}; judges {judges}; {threads} thread of a shared CPU of {cores} cores."


def page(found: Mapping[str, Sequence[Outcome]], assets: Path) -> str:
    """Return the page of results, and write the pictures that it shows to ``assets``."""
    assets.mkdir(parents=True, exist_ok=True)
    fade = {"Objects": found[FADE], "Styles": found[FADE_STYLES]}
    for outcome in (*found[FADE], *found[FADE_STYLES]):
        if outcome.run.name in SHEETS:
            shutil.copyfile(outcome.folder / "contact-sheet.png", assets / f"{SHEETS[outcome.run.name]}.png")
    draw_losses(fade, assets / "losses.svg")
    draw_front(found[FRONT_NAME], assets / "front.svg")
    return "\n".join([
        "# FADE on the embedded model", "",
        "Written by `nox -s study -- fade`. UA is the share of pictures of the forgotten concept that the judge calls "
        "anything else; beside it the share called another listed concept, and the share that show the replacement "
        "asked for. IRA, CRA and the CLIP score (100 cos) of what is kept are before -> after with the paired change. "
        "All intervals are 95 % and resample whole prompts, those of all seeds of a request together. A row pools the "
        "seeds that it names; UCE draws no random number and runs once a request. "
        f"Protocol `{PROTOCOL}`; the model's default preset for objects, and for styles the one made for them. Presets "
        "were chosen on cat, dog, car, bus and the style noto, which are forgotten in no request of the tables that "
        "follow.", "",
        facts(fade), "", goal(fade), "",
        "## One object for another", "", *quality_table({FADE: found[FADE], UCE: found[UCE_OBJECTS]}),
        "![tiger becomes bear](../assets/results/fade/tiger-to-bear.png)", "",
        "## One style for another", "", *quality_table({FADE_STYLES: found[FADE_STYLES], UCE: found[UCE_STYLES]}),
        "![the style mono becomes flat](../assets/results/fade/mono-to-flat.png)", "",
        "## Forgetting against keeping", "",
        f"Settings tried on the style that the preset for styles was chosen on: {TUNED_ON} for {TUNED_FOR}, one run "
        "each, seed 0, 90 pictures (every object in three styles, among them the forgotten one). The preset has "
        "64 pictures of each style, 400 steps, rank 8 and forget_weight 1; a row says what differs. Bold, "
        "and on the line: no other setting forgets as much and keeps as much.", "",
        *front_table(found[FRONT_NAME]),
        "![forgetting against keeping](../assets/results/fade/front.svg)", "",
        "## Cost", "",
        "Smallest, median and largest of the runs. Wall times on one thread, on a machine that others used, too: the "
        "smallest says most of the unlearner, the others of the company.", "",
        *cost_table({**{n: found[n] for n in (FADE, FADE_STYLES)}, UCE: [*found[UCE_OBJECTS], *found[UCE_STYLES]]}),
        "## Learning curves", "",
        "Mean loss over the runs since the line before, and its range over the runs.", "",
        "![losses by step](../assets/results/fade/losses.svg)", "",
    ])  # fmt: skip


def main() -> None:
    """Carry out the study and write its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; kept, to continue")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of FADE")
    parser.add_argument("--finished", action="store_true", help="write the page of the finished runs; carry out none")
    parser.add_argument("--page", type=Path, default=Path("docs/results/fade.md"))
    arguments = parser.parse_args()
    bench = Bench(arguments.work)
    seeds = range(arguments.seeds)
    asked = {
        FADE: [run for seed in seeds for run in runs("fade", seed, OBJECTS)],
        FADE_STYLES: [run for seed in seeds for run in runs("fade", seed, STYLES, preset="styles")],
        UCE_OBJECTS: runs("uce", 0, OBJECTS),
        UCE_STYLES: runs("uce", 0, STYLES),
        FRONT_NAME: front_runs(),
    }
    if arguments.finished:
        asked = {name: bench.finished(wanted) for name, wanted in asked.items()}
    if missing := [name for name, wanted in asked.items() if not wanted]:
        raise StudyError(f"no run is finished of {', '.join(missing)}", hint="Leave out --finished.")
    found = {name: bench.outcomes(wanted) for name, wanted in asked.items()}
    arguments.page.parent.mkdir(parents=True, exist_ok=True)
    assets = arguments.page.parent.parent / "assets" / "results" / "fade"
    arguments.page.write_text(page(found, assets), encoding="utf-8")


if __name__ == "__main__":
    carry_out(main)
