"""What FADE forgets and keeps on the embedded model, beside UCE on the same requests.

    python studies/fade.py --work FOLDER [--seeds 3] [--page docs/results/fade.md]

FADE runs once for each request and seed, and for styles once more with the preset made for them; UCE, which draws no
random number, runs once for each request: 55 runs of 180 pictures with three seeds, some three minutes each on one idle
core. Interrupt it when you like; it continues where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from study import FORGET, RETAIN, Bench, Outcome, StudyRun, carry_out, pool, share

from vu_core.runspec import RunSpec

# None of these is among what the presets were chosen on: cat, dog, car and bus, and the style noto.
OBJECTS = {"tiger": "bear", "rabbit": "penguin", "house": "castle", "banana": "grapes", "rocket": "sailboat"}
STYLES = {"twemoji": "emojitwo", "flat": "emojitwo", "mono": "flat", "emojitwo": "flat", "blob": "emojitwo"}
PROTOCOL = "emoji-quick@1"
FADE, FADE_STYLES, UCE = "FADE", "FADE, `--preset styles`", "UCE"
SHEETS = {"fade-tiger-to-bear-0": "tiger-to-bear", "fade-mono-to-flat-0": "mono-to-flat"}
GOAL_UA, GOAL_CHANGE, GOAL_SECONDS = 95.0, 5.0, 300.0


def runs(unlearner: str, seed: int, *, preset: str = "") -> list[StudyRun]:
    """Return one run for each request, or for each style with the preset made for styles."""
    objects = [] if preset else [(old, new, "") for old, new in OBJECTS.items()]
    requests = objects + [(old, new, "style:") for old, new in STYLES.items()]
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
        for old, new, kind in requests
    ]


def of_kind(outcomes: Sequence[Outcome], concepts: Mapping[str, str]) -> list[Outcome]:
    """Return the runs that forget one of ``concepts``."""
    return [outcome for outcome in outcomes if outcome.record["request"]["forget"][0] in concepts]


def quality_row(title: str, outcomes: Sequence[Outcome]) -> str:
    """Return a table row: what was forgotten, what took its place, and the changes of what was to be kept."""
    forgotten = [pool(outcomes, metric, FORGET).after for metric in ("ua", "ua_recognised", "replaced")]
    kept = [pool(outcomes, metric, RETAIN) for metric in ("ira", "cra", "clip_score")]
    cells = [
        str(len(outcomes)),
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


def quality_table(found: Mapping[str, Sequence[Outcome]], concepts: Mapping[str, str]) -> list[str]:
    """Return a row for each unlearner, and one for each request."""
    rows = []
    for unlearner, outcomes in found.items():
        chosen = of_kind(outcomes, concepts)
        if chosen:
            rows.append(quality_row(f"**{unlearner}**", chosen))
        for title in dict.fromkeys(outcome.run.title for outcome in chosen):
            same = [outcome for outcome in chosen if outcome.run.title == title]
            rows.append(quality_row(f"{unlearner}: {title}", same))
    head = "| | runs | UA % | recognised as another % | replaced % | n | IRA % | CRA % | CLIP score | n |"
    return [head, "|---|---|---|---|---|---|---|---|---|---|", *rows, ""]


def cost_table(found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return time, memory and size of the edit by unlearner: medians, and the largest in brackets."""
    rows = []
    for unlearner, outcomes in found.items():
        stages = [outcome.record["stages"][0] for outcome in outcomes]
        figures = {
            "{:.1f} s": [stage["seconds"] for stage in stages],
            "{:.0f} MB": [stage["peak_memory_bytes"] / 1e6 for stage in stages],
            "{:.0f} kB": [outcome.record["edit"]["bytes"] / 1e3 for outcome in outcomes],
        }
        cells = [f"{form.format(statistics.median(v))} ({form.format(max(v))})" for form, v in figures.items()]
        rows.append(f"| {unlearner} | {' | '.join(cells)} |")
    return ["| | time of unlearning | peak of resident memory | size of the edit |", "|---|---|---|---|", *rows, ""]


def goal(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Return what was aimed at and, for objects and styles, what was found: means over the pictures of all runs."""
    groups = {
        "Objects": of_kind(found[FADE], OBJECTS),
        "styles": of_kind(found[FADE], STYLES),
        "styles with the preset made for them": found[FADE_STYLES],
    }
    sentences = []
    for name, chosen in groups.items():
        ua = pool(chosen, "ua", FORGET).after.value or 0.0
        changes = {metric.upper(): pool(chosen, metric, RETAIN).change.value or 0.0 for metric in ("ira", "cra")}
        seconds = max(outcome.record["stages"][0]["seconds"] for outcome in chosen)
        met = ua >= GOAL_UA and min(changes.values()) >= -GOAL_CHANGE and seconds <= GOAL_SECONDS
        kept = ", ".join(f"{metric} {share(change, None, signed=True)}" for metric, change in changes.items())
        sentences.append(
            f"{name}: {'reached' if met else 'not reached'} (UA {ua:.1f} %, {kept} points, {seconds:.0f} s at most)"
        )
    return (
        f"The goal was a mean UA of at least {GOAL_UA:g} %, IRA and CRA within {GOAL_CHANGE:g} points of the base "
        f"model, and at most {GOAL_SECONDS / 60:g} minutes a concept. {'; '.join(sentences)}."
    )


def draw_losses(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw FADE's losses by step: mean over runs, and the range of the runs."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "vu"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for axes, loss in zip(panels, (FORGET, RETAIN), strict=True):
        for name, concepts in (("objects", OBJECTS), ("styles", STYLES)):
            curves = [losses(outcome, loss) for outcome in of_kind(outcomes, concepts)]
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


def losses(outcome: Outcome, name: str) -> dict[int, float]:
    """Return a loss by step, each the mean since the step before; a repeated step counts once."""
    lines = (outcome.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return {event["step"]: event[f"loss/{name}"] for event in map(json.loads, lines)}


def facts(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Return versions, seeds, presets and judges in a few sentences."""
    record = found[FADE][0].record
    names = ("vu-core", "vu-fade", "vu-train", "vu-uce", "vu-emoji", "torch", "diffusers", "transformers")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    judges = ", ".join(f"{role} {scorer['version'][:8]}" for role, scorer in record["scorers"].items())
    seeds = "; ".join(
        f"{name}: seeds {', '.join(map(str, sorted({outcome.record['seed'] for outcome in found[name]})))}"
        for name in (FADE, FADE_STYLES)
        if found[name]
    )
    config = record["unlearner"]["config"]
    options = ", ".join(f"{key} {config[key]}" for key in ("rank", "learning_rate", "steps", "forget_weight"))
    return (
        f"{seeds}. Preset `{record['unlearner']['preset']}`: {options}. {versions}; "
        f"judges {judges}; {record['environment']['threads']} thread of a shared CPU of "
        f"{record['environment']['cpu_count']} cores."
    )


def page(found: Mapping[str, Sequence[Outcome]], assets: Path) -> str:
    """Return the page of results, and write the pictures that it shows to ``assets``."""
    assets.mkdir(parents=True, exist_ok=True)
    for outcome in found[FADE]:
        if outcome.run.name in SHEETS:
            shutil.copyfile(outcome.folder / "contact-sheet.png", assets / f"{SHEETS[outcome.run.name]}.png")
    draw_losses(found[FADE], assets / "losses.svg")
    return "\n".join([
        "# FADE on the embedded model", "",
        "Written by `nox -s study -- fade`. UA is the share of pictures of the forgotten concept that the judge calls "
        "anything else; beside it the share called another listed concept, and the share that show the replacement "
        "asked for. IRA, CRA and the CLIP score (100 cos) of what is kept are before -> after with the paired change. "
        "All intervals are 95 % and resample whole prompts, those of all seeds of a request together. UCE draws no "
        f"random number and runs once a request. Protocol `{PROTOCOL}`; the model's default presets, and for styles "
        "also the one made for them, with 64 pictures of each in place of 16 and 400 steps in place of 200. Presets "
        "were chosen on cat, dog, car, bus and the style noto, which appear in no request here.", "",
        facts(found), "", goal(found), "",
        "## One object for another", "", *quality_table(found, OBJECTS),
        "![tiger becomes bear](../assets/results/fade/tiger-to-bear.png)", "",
        "## One style for another", "", *quality_table(found, STYLES),
        "![the style mono becomes flat](../assets/results/fade/mono-to-flat.png)", "",
        "## Cost", "",
        "Medians over runs, the largest in brackets. Wall times; where others use the machine too, they are no "
        "measure of speed.", "", *cost_table(found),
        "## Learning curves", "",
        "Mean loss over the runs since the line before, and its range over the runs.", "",
        "![losses by step](../assets/results/fade/losses.svg)", "",
    ])  # fmt: skip


def main() -> None:
    """Carry out the study and write its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; kept, to continue")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of FADE")
    parser.add_argument("--page", type=Path, default=Path("docs/results/fade.md"))
    arguments = parser.parse_args()
    bench = Bench(arguments.work)
    found = {FADE: bench.outcomes(runs("fade", 0)), FADE_STYLES: [], UCE: bench.outcomes(runs("uce", 0))}
    found[FADE_STYLES] += bench.outcomes(runs("fade", 0, preset="styles"))
    for seed in range(1, arguments.seeds):
        found[FADE] += bench.outcomes(runs("fade", seed))
        found[FADE_STYLES] += bench.outcomes(runs("fade", seed, preset="styles"))
    arguments.page.parent.mkdir(parents=True, exist_ok=True)
    assets = arguments.page.parent.parent / "assets" / "results" / "fade"
    arguments.page.write_text(page(found, assets), encoding="utf-8")


if __name__ == "__main__":
    carry_out(main)
