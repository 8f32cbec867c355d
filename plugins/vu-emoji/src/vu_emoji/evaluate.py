"""``python -m vu_emoji.evaluate``: how often the pipeline draws what it was asked to."""

from __future__ import annotations

import argparse
import json
import logging
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vu_core.statistics import wilson
from vu_emoji.catalogue import Catalogue, Cell, load_catalogue
from vu_emoji.judges import OTHER, judge_images, load_judge
from vu_emoji.sampling import GUIDANCE_SCALE, STEPS, load_pipeline, sample

log = logging.getLogger("vu_emoji.evaluate")


def share(hits: list[bool]) -> dict[str, Any]:
    """Returns a share with its count and Wilson interval."""
    if not hits:
        return {"value": None, "n": 0, "interval": None}
    interval = wilson(sum(hits), len(hits))
    return {
        "value": sum(hits) / len(hits),
        "n": len(hits),
        "interval": [round(interval.low, 4), round(interval.high, 4)],
    }


def summarise(rows: list[dict[str, Any]], held_out: frozenset[Cell]) -> dict[str, Any]:
    """Returns object and style accuracy of trained and of held-out cells."""
    groups: dict[str, list[dict[str, Any]]] = {"trained": [], "held-out": []}
    for row in rows:
        groups["held-out" if (row["object"], row["style"]) in held_out else "trained"].append(row)
    report = {}
    for name, part in groups.items():
        report[name] = {
            "object": share([row["object"] == row["judged_object"] for row in part]),
            "style": share([row["style"] == row["judged_style"] for row in part]),
            "object_other": share([row["judged_object"] == OTHER for row in part]),
        }
    return report


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


def evaluate(
    catalogue: Catalogue,
    *,
    pipeline: Path | None = None,
    judges: Path | None = None,
    seeds: int = 2,
    first_seed: int = 1000,
    steps: int = STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    template: int = 0,
) -> tuple[dict[str, Any], torch.Tensor]:
    """Returns the report and the images: each cell in one wording, with several seeds."""
    pipe = load_pipeline(pipeline)
    cells = catalogue.cells()
    wanted = [(cell, first_seed + k) for k in range(seeds) for cell in cells]
    prompts = [catalogue.caption(*cell, template=template) for cell, _ in wanted]
    started = time.monotonic()
    images = sample(pipe, prompts, [seed for _, seed in wanted], steps=steps, guidance_scale=guidance_scale)
    seconds = time.monotonic() - started
    objects = judge_images(load_judge("object", judges), images)
    styles = judge_images(load_judge("style", judges), images)
    rows = [
        {
            "object": cell[0],
            "style": cell[1],
            "seed": seed,
            "judged_object": a.name,
            "object_probability": round(a.probability, 4),
            "judged_style": b.name,
            "style_probability": round(b.probability, 4),
        }
        for (cell, seed), a, b in zip(wanted, objects, styles, strict=True)
    ]
    names = ("torch", "diffusers", "transformers", "numpy")
    report = {
        "schema": 1,
        "settings": {
            "steps": steps,
            "guidance_scale": guidance_scale,
            "seeds": [first_seed + k for k in range(seeds)],
            "prompt": catalogue.caption("OBJECT", "STYLE", template=template),
        },
        "versions": {name: version(name) for name in names},
        "threads": torch.get_num_threads(),
        "sampling_seconds": round(seconds, 1),
        "accuracy": summarise(rows, catalogue.held_out),
        "images": rows,
    }
    return report, images


def write_report(report: dict[str, Any], images: torch.Tensor, catalogue: Catalogue, folder: Path) -> None:
    """Writes ``report.json`` and ``contact-sheet.png``, a row a style and a column an object."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    styles, objects = len(catalogue.styles), len(catalogue.objects)
    order = [o * styles + s for s in range(styles) for o in range(objects)]
    contact_sheet(images[order], objects).save(folder / "contact-sheet.png")


def main() -> None:
    """Samples every cell, judges the images and prints the accuracies."""
    parser = argparse.ArgumentParser(prog="python -m vu_emoji.evaluate", description=__doc__)
    parser.add_argument("--pipeline", type=Path, help="another folder than the shipped one")
    parser.add_argument("--judges", type=Path, help="another folder than the shipped one")
    parser.add_argument("--seeds", type=int, default=2, help="images of each cell")
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance-scale", type=float, default=GUIDANCE_SCALE)
    parser.add_argument("--template", type=int, default=0, help="which wording of the captions")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for report.json and contact-sheet.png")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(args.threads)
    catalogue = load_catalogue()
    report, images = evaluate(
        catalogue,
        pipeline=args.pipeline,
        judges=args.judges,
        seeds=args.seeds,
        first_seed=args.first_seed,
        steps=args.steps,
        guidance_scale=args.guidance_scale,
        template=args.template,
    )
    for group, values in report["accuracy"].items():
        for name, result in values.items():
            low, high = result["interval"]
            value = result["value"]
            log.info("%s %s: %.3f [%.3f, %.3f], n = %d", group, name, value, low, high, result["n"])
    log.info("%d images in %.0f s", len(images), report["sampling_seconds"])
    if args.out:
        write_report(report, images, catalogue, args.out)


if __name__ == "__main__":
    main()
