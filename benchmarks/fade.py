"""Speed and memory of a FADE step, beside the published one and beside that one made as fast as it can be.

    python benchmarks/fade.py [--settings emoji,sd14] [--rounds 5] [--steps 4] [--json FILE]

``published`` mirrors what the public implementation does in a step, as far as it costs time or memory: the loader of
retained pictures is built anew and gives its first batch; both batches go through the VAE, and captions, overwriting
captions and retained captions through the text encoder, one call each; student and teacher see the forgotten and the
retained batch in calls of their own, four in all; the adapter is peft's and is switched off for the teacher; three
numbers are read from the device. VAE, text encoder and U-Net stay in memory. It computes what the paper says: the
published implementation's defects (clipping, accumulation) are not copied, and cost nothing.

``vectorised`` is the best form of that: latents' posteriors and text states are computed once and their encoders
freed, one student and one teacher call see both batches, numbers are read every ten steps. ``vu`` is vu-fade's own
step in vu-train's own loop. Rounds of a few steps of each are timed in turn, in one process; peaks of memory are
those of processes of their own, after the imports. Times are the process's CPU seconds, which other users of the
machine hardly change.

``emoji`` is the embedded model at 64 pixels with batches of 4 + 4; ``sd14`` a checkpoint of Stable Diffusion 1.4's
exact shapes at 128 pixels with 1 + 1, most of whose weights are zeros, which cost as much as others.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from fade_published import (
    FORGET,
    LAYERS,
    OVERWRITING,
    RANK,
    RETAIN,
    WEIGHTS,
    Published,
    Setting,
    Vectorised,
    load_pipeline,
    matrices,
    saliency_losses,
    saliency_published,
    seconds,
)

CHILDREN = ("published", "vectorised", "vu", "saliency, published", "saliency, vu")


def setting_of(name: str, temporary: Path) -> Setting:
    from vu_core.models import resource_path
    from vu_core.testing.checkpoints import write_checkpoint

    if name == "emoji":
        return Setting(resource_path("vu_emoji:assets/pipeline"), 64, 4, 16)
    folder = temporary / "sd14"
    return Setting(folder if folder.is_dir() else write_checkpoint(folder), 128, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", default="emoji,sd14")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="steps of each in a round, after one for warming up")
    parser.add_argument("--json", type=Path, help="file that receives all numbers")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where the large checkpoint lies or is written")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(memory_of(options.child, setting_of(options.settings, options.folder))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        results = {
            "machine": {"threads": torch.get_num_threads(), "cores": os.cpu_count(), "torch": torch.__version__},
            **{name: measured(name, folder, options.rounds, options.steps) for name in options.settings.split(",")},
        }
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measured(name: str, folder: Path, rounds: int, steps: int) -> dict:
    setting = setting_of(name, folder)
    return {
        "steps": step_times(setting, rounds, steps),
        "saliency": saliency_times(setting, rounds),
        "memory": {child: child_memory(child, name, folder) for child in CHILDREN},
    }


# Steps ---------------------------------------------------------------------------------------------


class Vu:
    """vu-fade's step in vu-train's loop."""

    def __init__(self, setting: Setting) -> None:
        from vu_diffusers.model import load
        from vu_fade.losses import SelfDistillation
        from vu_train.adapters import Adapters, layers_ending_in
        from vu_train.latents import latent_streams
        from vu_train.pictures import load_pictures
        from vu_train.settings import DataSettings
        from vu_train.texts import encode_texts

        from vu_core.context import RunContext

        self.model = load(str(setting.folder))
        request, data = request_and_data(setting)
        settings = DataSettings(resolution=setting.size, batch_size=setting.batch)
        with tempfile.TemporaryDirectory() as out:
            ctx = RunContext(out_dir=Path(out))
            pictures = load_pictures(self.model, request, data, settings, ctx)
            texts = encode_texts(self.model, [FORGET, OVERWRITING, RETAIN], ctx)
            streams = latent_streams(self.model, pictures, settings, ctx)
        self.model.unload_encoders()
        unet = self.model.component("unet")
        generator = torch.Generator().manual_seed(0)
        self.adapters = Adapters(unet, layers_ending_in(unet, LAYERS), rank=RANK, alpha=RANK, generator=generator)
        overwriting = {example.id: OVERWRITING for example in pictures["forget"]}
        self.task = SelfDistillation(self.model, self.adapters, streams, texts, overwriting)
        self.host: list[float] = []

    def steps(self, count: int) -> list[float]:
        """Return the time of each step; the share of it outside of the denoiser and the optimiser goes to ``host``."""
        from vu_train.gradients import Gradients
        from vu_train.loop import train
        from vu_train.settings import TrainSettings

        from vu_core.context import RunContext

        times, device = [], Clock()

        def track(items, total, label) -> Iterator:
            for item in items:
                device.seconds, start = 0.0, time.process_time()
                yield item
                times.append(time.process_time() - start)
                self.host.append(1 - device.seconds / times[-1])

        settings = TrainSettings(steps=1000, max_steps=count + 1, schedule="cosine", checkpoint_every=1000)
        parts = ((self.model, "denoise"), (Gradients, "add"), (Gradients, "combine"), (torch.optim.AdamW, "step"))
        with tempfile.TemporaryDirectory() as out, self.adapters.attached(), device.on(parts):
            train(self.task, settings, RunContext(out_dir=Path(out), track=track), weights=WEIGHTS)
        self.host.pop(-count - 1)
        return times[1:]


class Clock:
    """Counts the seconds spent in some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def on(self, functions) -> Iterator[None]:
        before = [(owner, name, getattr(owner, name)) for owner, name in functions]
        try:
            for owner, name, function in before:
                setattr(owner, name, self.counted(function))
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)

    def counted(self, function):
        def call(*arguments, **options):
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.process_time() - start

        return call


def step_times(setting: Setting, rounds: int, steps: int) -> dict:
    contestants = {"vu": Vu(setting), "published": Published(setting), "vectorised": Vectorised(setting)}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name] += contestant.steps(steps)
    return {**{name: summary(found) for name, found in times.items()}, "host": summary(contestants["vu"].host)}


# Saliency ------------------------------------------------------------------------------------------


def saliency_vu(pipe, setting: Setting) -> dict[str, float]:
    from vu_fade.saliency import matrix_saliency

    pipe.unet.requires_grad_(False)
    return matrix_saliency(matrices(pipe.unet), saliency_losses(pipe, setting))


def epoch(pipe, setting: Setting) -> None:
    """Take gradients of all matrices and do nothing with them."""
    pipe.unet.requires_grad_(False)
    for weight in matrices(pipe.unet).values():
        weight.requires_grad_(True)
    for loss in saliency_losses(pipe, setting):
        loss.backward()
        pipe.unet.zero_grad()


def saliency_times(setting: Setting, rounds: int) -> dict:
    pipe = load_pipeline(setting.folder)
    pipe.vae = pipe.text_encoder = None
    ours, theirs = saliency_vu(pipe, setting), saliency_published(pipe, setting)
    worst = max(abs(ours[name] - theirs[name]) / (theirs[name] + 1e-12) for name in theirs)
    if worst > 1e-3:
        raise SystemExit(f"the two saliencies differ by {worst:.1e}")
    works = {"epoch": epoch, "published": saliency_published, "vu": saliency_vu}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(partial(work, pipe, setting)))
    return {name: summary(found) for name, found in times.items()}


# Memory, in processes of their own -----------------------------------------------------------------


def child_memory(child: str, name: str, folder: Path) -> dict:
    command = [sys.executable, __file__, "--child", child, "--settings", name, "--folder", str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def memory_of(child: str, setting: Setting) -> dict:
    """Return bytes at the peak and those after the imports."""
    import diffusers.optimization  # noqa: F401
    import peft  # noqa: F401
    from diffusers import StableDiffusionPipeline  # noqa: F401
    from vu_fade.unlearner import Fade  # noqa: F401

    from vu_core.records import MemoryMeter

    imported, meter = resident(), MemoryMeter("cpu")
    if child.startswith("saliency"):
        pipe = load_pipeline(setting.folder)
        pipe.vae = pipe.text_encoder = None
        (saliency_vu if child.endswith("vu") else saliency_published)(pipe, setting)
    else:
        contestant = {"published": Published, "vectorised": Vectorised, "vu": Vu}[child](setting)
        contestant.steps(1)
    return {"peak": meter.process_bytes(), "imported": imported}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Shared --------------------------------------------------------------------------------------------


def request_and_data(setting: Setting):
    from vu_core.interfaces import Data, Picture
    from vu_core.types import Concept, Request

    cat, house = Concept(name="cat"), Concept(name="house")
    images = {"cat": (FORGET, setting.images(0)), "house": (RETAIN, setting.images(1))}

    class Pictures:
        def pictures(self, split: str) -> list[Picture]:
            return [
                Picture(
                    id=f"{name}-{i}", caption=caption, attributes={"object": name}, load=partial(each.__getitem__, i)
                )
                for name, (caption, each) in images.items()
                for i in range(len(each))
            ]

    request = Request(forget=(cat,), retain=(house,), replace_with=(Concept(name="dog"),))
    return request, Data(forget=request.forget, retain=request.retain, dataset=Pictures())


def summary(values: list[float]) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def show(results: dict) -> None:
    machine = results.pop("machine")
    print(f"torch {machine['torch']}, {machine['threads']} threads on {machine['cores']} cores; median (min to max)")
    for name, found in results.items():
        print(f"\n| {name} | time | beside vu | memory beyond imports | beside vu |\n|---|---|---|---|---|")
        for what, times in (("step", found["steps"]), ("saliency", found["saliency"])):
            for contestant in (one for one in times if one != "host"):
                found_time = times[contestant]
                ratio = found_time["median"] / times["vu"]["median"]
                key = contestant if what == "step" else f"saliency, {contestant}"
                cells = [
                    f"{1e3 * found_time['median']:.0f} ms ({1e3 * found_time['min']:.0f} to "
                    f"{1e3 * found_time['max']:.0f})",
                    f"{ratio:.2f}",
                    *memory_cells(found["memory"], key, "vu" if what == "step" else "saliency, vu"),
                ]
                print(f"| {what}, {contestant} | {' | '.join(cells)} |")
        host = found["steps"]["host"]
        print(f"\nHost work of vu: {100 * host['median']:.1f} % of a step ({100 * host['max']:.1f} % at most).")


def memory_cells(memory: dict, key: str, ours: str) -> list[str]:
    if key not in memory:
        return ["-", "-"]
    grown = {name: found["peak"] - found["imported"] for name, found in memory.items()}
    return [f"{grown[key] / 1e6:.0f} MB", f"{grown[key] / grown[ours]:.2f}"]


if __name__ == "__main__":
    main()
