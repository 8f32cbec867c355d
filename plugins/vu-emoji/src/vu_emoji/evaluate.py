"""``python -m vu_emoji.evaluate``: how well the pipeline draws what it was asked to, and how far its judges err."""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vu_core.files import write_text
from vu_emoji.catalogue import Catalogue, Cell, load_catalogue
from vu_emoji.dataset import EVALUATED_WORDING
from vu_emoji.judges import JUDGES, OTHER, judge_folder, judge_images, load_judge
from vu_emoji.nearest import compare_with_training
from vu_emoji.sampling import GUIDANCE_SCALE, STEPS, load_pipeline, sample
from vu_emoji.scorers import CLIP_FOLDER
from vu_emoji.trials import calibration_error, make_trials, share, try_clip, try_judge

log = logging.getLogger("vu_emoji.evaluate")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is sampled.

    Attributes:
        seeds: of the noise; every cell is drawn with each.
        steps: of the sampler.
        guidance_scale: weight of the prompt against the empty one.
        template: which wording of captions that name object and style.
    """

    seeds: tuple[int, ...] = (1000, 1001, 1002, 1003)
    steps: int = STEPS
    guidance_scale: float = GUIDANCE_SCALE
    template: int = 3


def draw(catalogue: Catalogue, pipe: Any, settings: Settings) -> tuple[list[Row], torch.Tensor, float]:
    """Returns a row for each sample, the samples float32 (N, 3, 64, 64) in [0, 1], and the seconds it took."""
    wanted = [(cell, seed) for seed in settings.seeds for cell in catalogue.cells()]
    rows = [{"object": cell[0], "style": cell[1], "seed": seed} for cell, seed in wanted]
    prompts = [catalogue.caption(*cell, template=settings.template) for cell, _ in wanted]
    started = time.monotonic()
    images = sample(
        pipe,
        prompts,
        [seed for _, seed in wanted],
        steps=settings.steps,
        guidance_scale=settings.guidance_scale,
    )
    return rows, images, time.monotonic() - started


def judge(rows: list[Row], images: torch.Tensor, folder: Path | None = None) -> None:
    """Adds every judge's verdict and its probability to each row, under ``judged``."""
    for name in JUDGES:
        for row, verdict in zip(rows, judge_images(load_judge(name, folder), images), strict=True):
            row.setdefault("judged", {})[name] = {
                "name": verdict.name,
                "probability": round(verdict.probability, 4),
            }


def said(rows: list[Row], name: str) -> list[str]:
    """Returns what a judge said of each row."""
    return [row["judged"][name]["name"] for row in rows]


def accuracy(rows: list[Row], held_out: frozenset[Cell]) -> dict[str, Any]:
    """Returns how often each judge sees what was asked for, in trained and in held-out cells, and how they agree."""
    parts: dict[str, list[Row]] = {"trained": [], "held-out": []}
    for row in rows:
        parts["held-out" if (row["object"], row["style"]) in held_out else "trained"].append(row)
    report: dict[str, Any] = {}
    for group, part in parts.items():
        report[group] = {}
        for name, kind in JUDGES.items():
            right = [verdict == row[kind] for verdict, row in zip(said(part, name), part, strict=True)]
            confidence = torch.tensor([row["judged"][name]["probability"] for row in part])
            report[group][name] = {
                "right": share(right),
                "other": share([verdict == OTHER for verdict in said(part, name)]),
                "calibration_error": round(calibration_error(confidence, torch.tensor(right)), 4),
            }
    report["agreement"] = {
        kind: share([one == two for one, two in zip(said(rows, kind), said(rows, f"{kind}-b"), strict=True)])
        for kind in ("object", "style")
    }
    return report


def try_bare_prompts(catalogue: Catalogue, pipe: Any, settings: Settings, folder: Path | None = None) -> dict[str, Any]:
    """Returns how often each judge of objects sees what a prompt without style names, by wording; one seed."""
    report: dict[str, Any] = {}
    for template, wording in enumerate(catalogue.templates["object"]):
        prompts = [catalogue.caption(name, template=template) for name in catalogue.object_names]
        images = sample(
            pipe,
            prompts,
            [settings.seeds[0]] * len(prompts),
            steps=settings.steps,
            guidance_scale=settings.guidance_scale,
        )
        report[wording] = {}
        for name in (name for name, kind in JUDGES.items() if kind == "object"):
            verdicts = judge_images(load_judge(name, folder), images)
            right = [verdict.name == asked for verdict, asked in zip(verdicts, catalogue.object_names, strict=True)]
            report[wording][name] = share(right)
    return report


def evaluate(
    catalogue: Catalogue,
    settings: Settings,
    *,
    pipeline: Path | None = None,
    judges: Path | None = None,
    negatives: Path | None = None,
) -> tuple[dict[str, Any], torch.Tensor]:
    """Returns the report and the samples.

    Args:
        catalogue: the cells.
        settings: what is sampled.
        pipeline: a pipeline's folder; the shipped one when None.
        judges: the judges' folder; the shipped one when None.
        negatives: drawings of other emoji concepts; without them the judges are not tried on those.
    """
    pipe = load_pipeline(pipeline)
    rows, images, seconds = draw(catalogue, pipe, settings)
    judge(rows, images, judges)
    trials = make_trials(catalogue, pipe, negatives)
    cells = [(row["object"], row["style"]) for row in rows]
    names = ("torch", "diffusers", "transformers", "numpy")
    report = {
        "schema": 2,
        "settings": asdict(settings) | {"prompt": catalogue.caption("OBJECT", "STYLE", template=settings.template)},
        "versions": {name: version(name) for name in names},
        "threads": torch.get_num_threads(),
        "seconds_for_180_pictures": round(seconds * 180 / len(rows), 1),
        "samples": accuracy(rows, catalogue.held_out),
        "bare prompts": try_bare_prompts(catalogue, pipe, settings, judges),
        "judges": {name: try_judge(load_judge(name, judges), kind, trials) for name, kind in JUDGES.items()},
        "clip": try_clip(catalogue, (judges or judge_folder()) / CLIP_FOLDER),
        "nearest": compare_with_training(catalogue, pipe, images, cells),
        "images": rows,
    }
    return report, images


def contact_sheet(images: torch.Tensor, columns: int) -> Image.Image:
    """Returns the images side by side, row by row.

    Args:
        images: float32 (N, 3, H, W), RGB in [0, 1].
        columns: images in a row.
    """
    n, _, height, width = images.shape
    rows = -(-n // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    for k in range(n):
        place = ((k % columns) * width, (k // columns) * height)
        sheet.paste(Image.fromarray(np.ascontiguousarray(pixels[k])), place)
    return sheet


def write_report(report: dict[str, Any], images: torch.Tensor, catalogue: Catalogue, folder: Path) -> None:
    """Writes ``report.json`` and ``contact-sheet.png``, a row a style and a column an object, of the first seed."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "report.json", json.dumps(report, indent=1) + "\n")
    styles, objects = len(catalogue.styles), len(catalogue.objects)
    order = [o * styles + s for s in range(styles) for o in range(objects)]
    contact_sheet(images[order], objects).save(folder / "contact-sheet.png")


def lines(report: Any, path: tuple[str, ...] = ()) -> list[str]:
    """Returns a line for each share, error and distance of a report, in its order."""
    if isinstance(report, dict) and "interval" in report:
        if report["value"] is None:
            return []
        low, high = report["interval"]
        return [f"{' / '.join(path)}: {report['value']:.1%} [{low:.1%}, {high:.1%}], n = {report['n']}"]
    if isinstance(report, dict):
        return [line for key, value in report.items() if key != "images" for line in lines(value, (*path, key))]
    return [f"{' / '.join(path)}: {report}"]


def main() -> None:
    """Samples every cell, judges the samples, tries the judges and prints every figure."""
    parser = argparse.ArgumentParser(prog="python -m vu_emoji.evaluate", description=__doc__)
    parser.add_argument("--pipeline", type=Path, help="another folder than the shipped one")
    parser.add_argument("--judges", type=Path, help="another folder than the shipped one")
    parser.add_argument(
        "--negatives", type=Path, help="drawings of other emoji, as `python -m vu_emoji.train render` makes them"
    )
    parser.add_argument("--seeds", type=int, default=4, help="samples of each cell")
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance-scale", type=float, default=GUIDANCE_SCALE)
    parser.add_argument(
        "--template", type=int, default=3, help=f"which wording of the captions; 3 is '{EVALUATED_WORDING}'"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for report.json and contact-sheet.png")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(args.threads)
    settings = Settings(
        seeds=tuple(range(args.first_seed, args.first_seed + args.seeds)),
        steps=args.steps,
        guidance_scale=args.guidance_scale,
        template=args.template,
    )
    catalogue = load_catalogue()
    report, images = evaluate(catalogue, settings, pipeline=args.pipeline, judges=args.judges, negatives=args.negatives)
    for line in lines(report):
        log.info("%s", line)
    if args.out:
        write_report(report, images, catalogue, args.out)


if __name__ == "__main__":
    main()
