"""What UCE forgets and keeps on the embedded model: tables, a trade-off curve and contact sheets.

    python studies/uce.py --work FOLDER [--only SECTION ...] [--page docs/results/uce.md]

About 10,000 pictures: forty minutes on two idle cores. Interrupt it when you like; it continues where it stopped.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from study import FORGET, RETAIN, Bench, Outcome, StudyRun, pool, share, variants

from vu_core.runspec import RunSpec
from vu_core.types import Interval

# The preset was chosen on these; nothing below but the curve forgets them.
TUNED_ON = ("cat", "dog", "car")
OBJECTS = ("tiger", "rabbit", "penguin", "fish", "house", "bicycle", "rocket", "sunflower", "banana", "guitar")
STYLES = ("noto", "mono", "blob")
MORE_OBJECTS = ("bear", "turtle", "church", "tulip", "pizza")
REPLACEMENTS = {"tiger": "dog", "house": "castle", "fish": "guitar"}
SHEETS = ("tiger", "penguin", "style-mono", "fish-to-guitar", "15-objects")
SECOND_JUDGES = {"object": "emoji-object-b", "style": "emoji-style-b"}

CURVE_PROTOCOL = str(Path(__file__).parent / "curve.toml")
SCALES = (1.0, 5.0, 20.0)
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


def pooled_row(title: str, outcomes: Sequence[Outcome]) -> str:
    """Return a table row: UA, its recognised part, and the changes of IRA and CRA."""
    ua, recognised = (pool(outcomes, metric, FORGET) for metric in ("ua", "ua_recognised"))
    ira, cra = (pool(outcomes, metric, RETAIN) for metric in ("ira", "cra"))
    cells = [
        share(ua.after.value, ua.after.interval),
        share(recognised.after.value, recognised.after.interval),
        str(ua.after.n),
        *(
            f"{share(kept.before.value, None)} -> {share(kept.after.value, None)} "
            f"({share(kept.change.value, kept.change.interval, signed=True)})"
            for kept in (ira, cra)
        ),
        str(ira.after.n),
    ]
    return f"| {title} | {' | '.join(cells)} |"


def table(rows: Sequence[str]) -> list[str]:
    """Return rows under the head that they share."""
    head = "| forgotten | UA % | recognised as another % | n | IRA % | CRA % | n |"
    return [head, "|---|---|---|---|---|---|---|", *rows, ""]


def section_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return one row a run, and one of all."""
    rows = [pooled_row(outcome.run.title, [outcome]) for outcome in outcomes]
    return table([*rows, pooled_row("**all**", outcomes)] if len(outcomes) > 1 else rows)


def by_title(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return runs that a table shows as one."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.run.title, []).append(outcome)
    return groups


def draw_curve(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw what is kept against what is forgotten, a line for each token rule and preserved set."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "vu"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    for title, group in by_title(outcomes).items():
        points = []
        for scale in SCALES:
            at_scale = [o for o in group if o.run.spec.options["erase_scale"] == scale]
            kept = (pool(at_scale, metric, RETAIN).after.value for metric in ("ira", "cra"))
            points.append(
                (pool(at_scale, "ua", FORGET).after.value, statistics.fmean(v for v in kept if v is not None))
            )
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, marker="o", linestyle="-" if "other" in title else "--", label=title, alpha=0.8)
        for scale, x, y in zip(SCALES, xs, ys, strict=True):
            axes.annotate(f"{scale:g}", (x, y), textcoords="offset points", xytext=(4, 4), fontsize=7)
    axes.set_xlabel("forgotten: UA, % (right is better)")
    axes.set_ylabel("kept: mean of IRA and CRA, % (up is better)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def facts(outcomes: Sequence[Outcome]) -> str:
    """Return versions, seeds, judges and times in one sentence."""
    record = outcomes[0].record
    names = ("vu-core", "vu-uce", "vu-emoji", "torch", "diffusers", "transformers")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    unlearn = statistics.median(o.record["stages"][0]["seconds"] for o in outcomes)
    judges = ", ".join(f"{role} {found['version'][:8]}" for role, found in record["scorers"].items())
    return (
        f"Seed {record['seed']}; {versions}; judges {judges}; {record['environment']['threads']} threads. "
        f"Median time of unlearning: {unlearn:.1f} s."
    )


def page(found: Mapping[str, Sequence[Outcome]], second: Mapping[str, Sequence[Outcome]], assets: Path) -> str:
    """Return the page of results, and write the pictures that it shows to ``assets``."""
    assets.mkdir(parents=True, exist_ok=True)
    for name in SHEETS:
        outcome = next(o for outcomes in found.values() for o in outcomes if o.run.name == name)
        shutil.copyfile(outcome.folder / "contact-sheet.png", assets / f"{name}.png")
    draw_curve(found["curve"], assets / "curve.svg")
    everything = [o for name in ("objects", "styles") for o in found[name]]
    agreeing = [
        pooled_row("objects, second judges", second["objects"]),
        pooled_row("styles, second judges", second["styles"]),
    ]
    return "\n".join([
        "# UCE on the embedded model", "",
        "Written by `nox -s study -- uce`. UA is the share of pictures of the forgotten concept that the judge calls "
        "anything else; beside it the share called another listed concept. IRA and CRA are before -> after with the "
        "paired change. All intervals are 95 % and resample whole prompts. "
        f"The preset was chosen on {', '.join(TUNED_ON)}; these are forgotten in the curve only.", "",
        facts(everything), "",
        "## One object", "", "Protocol `emoji@1`, the model's default preset.", "", *section_table(found["objects"]),
        "![before and after forgetting tiger](../assets/results/uce/tiger.png)", "",
        "## One style", "", *section_table(found["styles"]),
        "![before and after forgetting a style](../assets/results/uce/style-mono.png)", "",
        "## Several objects at once", "", *table([pooled_row(o.run.title, [o]) for o in found["several"]]),
        "![before and after forgetting 15 objects](../assets/results/uce/15-objects.png)", "",
        "## One object for another", "", *section_table(found["replaced"]),
        *[f"- {o.run.title}: {share(*in_its_place(o))} % show the replacement" for o in found["replaced"]], "",
        "![fish become guitars](../assets/results/uce/fish-to-guitar.png)", "",
        "## The published options", "",
        "`--preset none` with each published token rule, on the first five objects; three styles, one seed.", "",
        *table([pooled_row(f"tokens={title}", group) for title, group in by_title(found["published"]).items()]),
        "## The trade-off", "",
        f"The preset with other erase scales (the numbers at the points), token rules and preserved sets, pooled over "
        f"{', '.join(TUNED_ON)}; three styles, one seed.", "",
        "![kept against forgotten](../assets/results/uce/curve.svg)", "", *curve_table(found["curve"]),
        "## Other judges", "",
        "The same pictures, judged by networks of another architecture and seed.", "", *table(agreeing),
    ])  # fmt: skip


def in_its_place(outcome: Outcome) -> tuple[float | None, Interval | None]:
    """Return the share of pictures that show the replacement."""
    measured = outcome.measured["replaced", FORGET][1]
    return measured.value, measured.interval


def curve_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return one row for each point of the curve."""
    rows = [
        pooled_row(f"{title}, erase scale {scale:g}", [o for o in group if o.run.spec.options["erase_scale"] == scale])
        for title, group in by_title(outcomes).items()
        for scale in SCALES
    ]
    return table(rows)


def main() -> None:
    """Carry out the study and write its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; kept, to continue")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="carry out these sections and write no page")
    parser.add_argument("--page", type=Path, default=Path("docs/results/uce.md"))
    arguments = parser.parse_args()
    bench = Bench(arguments.work)
    found = {name: bench.outcomes(SECTIONS[name]()) for name in arguments.only or SECTIONS}
    if arguments.only:
        for name, outcomes in found.items():
            print("\n".join([f"## {name}", *section_table(outcomes)]))
        return
    second_bench = Bench(arguments.work, judges=SECOND_JUDGES)
    second = {name: second_bench.outcomes(SECTIONS[name]()) for name in ("objects", "styles")}
    arguments.page.parent.mkdir(parents=True, exist_ok=True)
    assets = arguments.page.parent.parent / "assets" / "results" / "uce"
    arguments.page.write_text(page(found, second, assets), encoding="utf-8")


if __name__ == "__main__":
    main()
