"""What UCE forgets and keeps on the embedded model: tables, a trade-off curve and contact sheets.

    python studies/uce.py --work FOLDER [--only SECTION ...] [--page docs/results/uce.md]

The words of the page are in uce.md, its numbers and pictures come from the runs: about 15,000 pictures, an hour on
two idle cores. Interrupt it when you like; it continues where it stopped.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import numpy as np
import torch
from study import FORGET, RETAIN, Bench, Outcome, StudyRun, carry_out, pool, share, variants
from vu_emoji.catalogue import load_catalogue
from vu_emoji.judges import load_judge
from vu_emoji.probes import compose_art, degrade
from vu_emoji.trials import SEED, Trial, try_judge

from vu_core.report import CONTACT_SHEET
from vu_core.runspec import RunSpec
from vu_core.types import POOLED, Interval, Measurement

# The preset was chosen on these; nothing below but the curve forgets them.
TUNED_ON = ("cat", "dog", "car")
OBJECTS = ("tiger", "rabbit", "penguin", "fish", "house", "bicycle", "rocket", "sunflower", "banana", "guitar")
STYLES = ("noto", "mono", "blob")
MORE_OBJECTS = ("bear", "turtle", "church", "tulip", "pizza")
REPLACEMENTS = {"tiger": "dog", "house": "castle", "fish": "guitar"}
SHEETS = ("tiger", "style-mono", "15-objects", "fish-to-guitar")
METRICS = ("ua", "ua_recognised", "replaced", "ira", "cra")
SECOND_JUDGES = {"object": "emoji-object-b", "style": "emoji-style-b"}

HERE = Path(__file__).parent
CURVE_PROTOCOL = str(HERE / "curve.toml")
SCALES = (0.001, 0.01, 0.1, 1.0, 5.0, 20.0)
RULES = ("aligned-tail", "last")
PRESERVED = ("dataset", "none")


def run_of(name: str, *forget: str, title: str = "", **fields: object) -> StudyRun:
    """Return a run of uce with the model's default preset."""
    return StudyRun(
        name=name,
        title=title or name,
        spec=RunSpec(unlearner="uce", forget=forget, **fields),  # type: ignore[arg-type]
    )


def one_object() -> list[StudyRun]:
    """Return one run for each object that was not used for tuning."""
    return [run_of(name, name) for name in OBJECTS]


def one_style() -> list[StudyRun]:
    """Return one run for each style."""
    return [run_of(f"style-{name}", f"style:{name}", title=name) for name in STYLES]


def several() -> list[StudyRun]:
    """Return runs that forget several objects at once."""
    fifteen = (*OBJECTS, *MORE_OBJECTS)
    return [
        run_of("5-objects", *OBJECTS[:5], title=f"5: {', '.join(OBJECTS[:5])}"),
        run_of("15-objects", *fifteen, title=f"15: these, {', '.join(fifteen[5:])}"),
    ]


def replaced() -> list[StudyRun]:
    """Return runs that put one object in another's place."""
    return [
        run_of(f"{old}-to-{new}", old, replace_with=(new,), title=f"{old} -> {new}")
        for old, new in REPLACEMENTS.items()
    ]


def published() -> list[StudyRun]:
    """Return runs with the published options instead of the preset, by token rule."""
    return [
        run_of(
            f"published-{rule}-{name}",
            name,
            title=rule,
            preset="none",
            protocol=CURVE_PROTOCOL,
            options={"tokens": rule},
        )
        for rule in RULES
        for name in OBJECTS[:5]
    ]


def curve() -> list[StudyRun]:
    """Return the preset with other scales, token rules and preserved sets, on what it was tuned on."""
    options = {"tokens": RULES, "preserve": PRESERVED, "erase_scale": SCALES}
    return [
        StudyRun(
            name=f"curve-{chosen['tokens']}-{chosen['preserve']}-{chosen['erase_scale']:g}-{name}",
            title=f"{chosen['tokens']}, {PRESERVED_WORDS[chosen['preserve']]}",
            spec=spec,
        )
        for name in TUNED_ON
        for chosen, spec in variants(RunSpec(unlearner="uce", forget=(name,), protocol=CURVE_PROTOCOL), options)
    ]


PRESERVED_WORDS = {"dataset": "other concepts preserved", "none": "nothing preserved"}
SECTIONS = {
    "objects": one_object,
    "styles": one_style,
    "several": several,
    "replaced": replaced,
    "published": published,
    "curve": curve,
}


def measured(found: Measurement) -> str:
    """Return a measurement as a table shows it."""
    return share(found.value, found.interval)


def base_and_change(outcomes: Sequence[Outcome], metric: str, group: str) -> str:
    """Return two cells: a metric of the base model, and how much it changed."""
    found = pool(outcomes, metric, group)
    return f"{measured(found.before)} | {share(found.change.value, found.change.interval, signed=True)}"


def pooled_row(title: str, outcomes: Sequence[Outcome]) -> str:
    """Return a table row: UA and its recognised part; IRA and CRA of the base model and their changes."""
    ua, recognised = (pool(outcomes, metric, FORGET).after for metric in ("ua", "ua_recognised"))
    ira, cra = (base_and_change(outcomes, metric, RETAIN) for metric in ("ira", "cra"))
    n = pool(outcomes, "ira", RETAIN).after.n
    return f"| {title} | {measured(ua)} | {measured(recognised)} | {ua.n} | {ira} | {cra} | {n} |"


def table(head: str, rows: Sequence[str]) -> str:
    """Return rows under their head, the names of the columns."""
    return "\n".join([f"| {head} |", "|" + "---|" * (head.count("|") + 1), *rows])


def result_table(rows: Sequence[str]) -> str:
    """Return the rows of `pooled_row` under their head."""
    return table("forgotten | UA | recognised | n | IRA, base | IRA, change | CRA, base | CRA, change | n", rows)


def section_table(outcomes: Sequence[Outcome]) -> str:
    """Return one row a run, and one of all."""
    rows = [pooled_row(outcome.run.title, [outcome]) for outcome in outcomes]
    return result_table([*rows, pooled_row("**all**", outcomes)])


def summary_table(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Return one row for each question of the study."""
    five, fifteen = found["several"]
    groups = {
        f"one object, {len(found['objects'])} runs": found["objects"],
        f"one style, {len(found['styles'])} runs": found["styles"],
        f"one object for another, {len(found['replaced'])} runs": found["replaced"],
        "5 objects at once": [five],
        "15 objects at once": [fifteen],
    }
    return result_table([pooled_row(title, outcomes) for title, outcomes in groups.items()])


def by_title(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return runs that a table shows as one."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.run.title, []).append(outcome)
    return groups


def replaced_table(outcomes: Sequence[Outcome]) -> str:
    """Return how many pictures show what was put in the forgotten object's place."""
    groups = {**by_title(outcomes), "**all**": outcomes}
    found = {title: pool(group, "replaced", FORGET).after for title, group in groups.items()}
    rows = [f"| {title} | {measured(after)} | {after.n} |" for title, after in found.items()]
    return table("forgotten | shows the replacement | n", rows)


def damage_table(outcome: Outcome) -> str:
    """Return the retained objects of which the judge recognises more or fewer than before, worst first."""
    pairs = {
        group: pair for (metric, group), pair in outcome.measured.items() if metric == "ira" and group not in POOLED
    }
    changes = {group: (after.value or 0.0) - (before.value or 0.0) for group, (before, after) in pairs.items()}
    rows = [
        f"| {group} | {base_and_change([outcome], 'ira', group)} | {pairs[group][1].n} |"
        for group, change in sorted(changes.items(), key=lambda item: item[1])
        if change
    ]
    return table("retained | recognised, base | change | n", rows)


def curve_points(outcomes: Sequence[Outcome]) -> dict[str, dict[float, list[Outcome]]]:
    """Return the runs of every point of the curve, by line and erase scale."""
    return {
        title: {scale: [o for o in group if o.run.spec.options["erase_scale"] == scale] for scale in SCALES}
        for title, group in by_title(outcomes).items()
    }


def curve_table(outcomes: Sequence[Outcome]) -> str:
    """Return one row for each point of the curve."""
    lines = curve_points(outcomes).items()
    return result_table(
        [pooled_row(f"{title}, {scale:g}", runs) for title, line in lines for scale, runs in line.items()]
    )


def kept(outcomes: Sequence[Outcome]) -> float:
    """Return the mean of IRA and CRA after unlearning."""
    return statistics.fmean(pool(outcomes, metric, RETAIN).after.value or 0.0 for metric in ("ira", "cra"))


def draw_curve(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw what is forgotten and what is kept against the erase scale, a line for each rule and preserved set."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "vu", "font.size": 9, "axes.titlesize": 9})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for title, line in curve_points(outcomes).items():
        # Rings around dots: lines that coincide are both seen.
        shape = {"markersize": 9, "markerfacecolor": "none"} if title.startswith(RULES[0]) else {"markersize": 4}
        style = {"marker": "o", "linestyle": "--" if PRESERVED_WORDS["none"] in title else "-", **shape}
        forgotten = [pool(runs, "ua_recognised", FORGET).after.value for runs in line.values()]
        panels[0].plot(SCALES, forgotten, label=title, **style)
        panels[1].plot(SCALES, [kept(runs) for runs in line.values()], **style)
    panels[0].set_title("forgotten: recognised as another object, %")
    panels[1].set_title("kept: mean of IRA and CRA, %")
    for panel in panels:
        panel.set_xscale("log")
        panel.set_xticks(SCALES, [f"{scale:g}" for scale in SCALES])
        panel.minorticks_off()
        panel.set_xlabel("erase scale")
        panel.grid(alpha=0.3)
    figure.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def copy_sheet(outcome: Outcome, assets: Path) -> None:
    """Write the contact sheet of a run to ``assets``, small."""
    from PIL import Image

    with Image.open(outcome.folder / CONTACT_SHEET) as sheet:
        sheet.convert("RGB").save(assets / f"{outcome.run.name}.jpg", quality=88, optimize=True)


def real_art() -> Trial:
    """Return the drawings at new places, degraded: those on which the README of vu-emoji reports the judges' errors."""
    art = compose_art(load_catalogue(), np.random.default_rng(SEED), 10)
    return Trial("art", degrade(art.images.float() / 255, torch.Generator().manual_seed(SEED)), art)


def judges_table(benches: Sequence[Bench], outcome: Outcome) -> str:
    """Return who judged, and how often each judge is right on real art and on the base model's pictures."""
    art = real_art()
    rows = []
    for bench in benches:
        for scorer, right in bench.right_of_base(outcome):
            judge = load_judge(scorer.name.removeprefix("emoji-"))
            real = try_judge(judge, right.group, [art])["art"]["right"]  # type: ignore[arg-type]
            low, high = (100 * end for end in real["interval"])
            cells = (scorer.version[:8], share(100 * real["value"], Interval(low=low, high=high)), real["n"])
            rows.append(f"| {scorer.name} | {' | '.join(map(str, cells))} | {measured(right)} | {right.n} |")
    return table("judge | version | right on real art | n | right on the base model's pictures | n", rows)


def facts(outcomes: Sequence[Outcome]) -> str:
    """Return with what the pictures were made, in one sentence."""
    names = ("vu-core", "vu-uce", "vu-emoji", "vu-diffusers", "torch", "diffusers", "transformers")
    found = [outcome.record["environment"] for outcome in outcomes]
    versions = [f"{name} {' or '.join(sorted({e['versions'][name] for e in found}))}" for name in names]
    threads = " or ".join(sorted({str(e["threads"]) for e in found}))
    models = " or ".join(sorted({outcome.record["model"]["fingerprint"][:8] for outcome in outcomes}))
    return f"{', '.join(versions)}, {threads} threads; model {models}"


def page(found: Mapping[str, Sequence[Outcome]], second: Mapping[str, Sequence[Outcome]], judges: str) -> str:
    """Return the page of results: the words of uce.md, filled in."""
    published = [pooled_row(f"`tokens={rule}`", group) for rule, group in by_title(found["published"]).items()]
    agreeing = [pooled_row(f"one {name.removesuffix('s')}", outcomes) for name, outcomes in second.items()]
    return Template((HERE / "uce.md").read_text(encoding="utf-8")).substitute(
        tuned_on=", ".join(TUNED_ON),
        seed=" or ".join(sorted({str(o.record["seed"]) for outcomes in found.values() for o in outcomes})),
        facts=facts([outcome for outcomes in found.values() for outcome in outcomes]),
        judges=judges,
        summary=summary_table(found),
        objects=section_table(found["objects"]),
        styles=section_table(found["styles"]),
        several=result_table([pooled_row(o.run.title, [o]) for o in found["several"]]),
        damage=damage_table(found["several"][-1]),
        replaced=section_table(found["replaced"]),
        shown=replaced_table(found["replaced"]),
        published=result_table(published),
        curve=curve_table(found["curve"]),
        second=result_table(agreeing),
    )


def main() -> None:
    """Carry out the study and write its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; kept, to continue")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="carry out these sections and write no page")
    parser.add_argument("--page", type=Path, default=Path("docs/results/uce.md"))
    arguments = parser.parse_args()
    bench = Bench(arguments.work, metrics=METRICS)
    second = Bench(arguments.work, metrics=METRICS, scorers=SECOND_JUDGES)
    found = {name: bench.outcomes(SECTIONS[name]()) for name in arguments.only or SECTIONS}
    if arguments.only:
        for name, outcomes in found.items():
            print("\n".join([f"## {name}", section_table(outcomes)]))
        return
    again = {name: second.outcomes(SECTIONS[name]()) for name in ("objects", "styles")}
    assets = arguments.page.parent.parent / "assets" / "results" / "uce"
    for folder in (arguments.page.parent, assets):
        folder.mkdir(parents=True, exist_ok=True)
    for outcome in (o for outcomes in found.values() for o in outcomes if o.run.name in SHEETS):
        copy_sheet(outcome, assets)
    draw_curve(found["curve"], assets / "curve.svg")
    judges = judges_table([bench, second], found["objects"][0])
    arguments.page.write_text(page(found, again, judges), encoding="utf-8")


if __name__ == "__main__":
    carry_out(main)
