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
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

LAYERS = ("to_k", "to_q", "to_v", "to_out.0")
RANK, LEARNING_RATE, WEIGHTS = 4, 1e-4, {"forget": 0.3, "retain": 1.0}
FORGET, OVERWRITING, RETAIN = "a photo of a cat", "a photo of a dog", "a photo of a house"
CHILDREN = ("published", "vectorised", "vu", "saliency, published", "saliency, vu")


@dataclass(frozen=True)
class Setting:
    """A model, a resolution and batches."""

    folder: Path
    size: int
    batch: int
    pictures: int

    def images(self, seed: int) -> torch.Tensor:
        shape = (self.pictures, 3, self.size, self.size)
        return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


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


class Published:
    """The published step on a pipeline of its own."""

    def __init__(self, setting: Setting) -> None:
        from diffusers import DDPMScheduler

        self.setting, self.pipe = setting, load_pipeline(setting.folder)
        self.unet = with_peft(self.pipe.unet)
        self.schedule = DDPMScheduler.from_config(self.pipe.scheduler.config)
        parameters = [parameter for parameter in self.unet.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE)
        self.data = {"forget": setting.images(0), "retain": setting.images(1)}
        self.forget = cycle(self.loader("forget"))

    def loader(self, name: str) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(self.data[name], batch_size=self.setting.batch, shuffle=True, drop_last=True)

    def step(self) -> None:
        forget, retain = (self.noised(images) for images in (next(self.forget), next(iter(self.loader("retain")))))
        states, overwriting, retained = (self.states(text) for text in (FORGET, OVERWRITING, RETAIN))
        losses = {
            "forget": F.mse_loss(self.student(forget, states), self.teacher(forget, overwriting)),
            "retain": F.mse_loss(self.student(retain, retained), self.teacher(retain, retained)),
        }
        total = sum(WEIGHTS[name] * loss for name, loss in losses.items())
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        for value in (total, *losses.values()):
            value.item()

    def noised(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            latents = self.pipe.vae.encode(images.float() / 127.5 - 1).latent_dist.sample()
        latents = latents * self.pipe.vae.config.scaling_factor
        timesteps = torch.randint(0, self.schedule.config.num_train_timesteps, (len(latents),))
        return self.schedule.add_noise(latents, torch.randn_like(latents), timesteps), timesteps

    def states(self, text: str) -> torch.Tensor:
        tokenizer, texts = self.pipe.tokenizer, [text] * self.setting.batch
        tokens = tokenizer(
            texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            return self.pipe.text_encoder(tokens.input_ids)[0]

    def student(self, noisy: tuple[torch.Tensor, torch.Tensor], states: torch.Tensor) -> torch.Tensor:
        return self.unet(*noisy, encoder_hidden_states=states).sample

    def teacher(self, noisy: tuple[torch.Tensor, torch.Tensor], states: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), without_adapter(self.unet):
            return self.unet(*noisy, encoder_hidden_states=states).sample

    def steps(self, count: int) -> list[float]:
        return [seconds(self.step) for _ in range(count + 1)][1:]


class Vectorised(Published):
    """The same losses with nothing computed twice."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        texts = [self.states(text) for text in (FORGET, OVERWRITING, RETAIN)]
        self.student_states = torch.cat([texts[0], texts[2]])
        self.teacher_states = torch.cat([texts[1], texts[2]])
        self.posteriors = {}
        with torch.no_grad():
            for name, images in self.data.items():
                found = [self.pipe.vae.encode(image[None].float() / 127.5 - 1).latent_dist for image in images]
                self.posteriors[name] = torch.cat([one.mean for one in found]), torch.cat([one.std for one in found])
        self.pipe.vae = self.pipe.text_encoder = None
        self.done = 0

    def step(self) -> None:
        latents = torch.cat([self.latents(name) for name in self.posteriors])
        timesteps = torch.randint(0, self.schedule.config.num_train_timesteps, (len(latents),))
        noisy = self.schedule.add_noise(latents, torch.randn_like(latents), timesteps), timesteps
        teacher = self.teacher(noisy, self.teacher_states)
        student = self.student(noisy, self.student_states)
        batch = self.setting.batch
        total = WEIGHTS["forget"] * F.mse_loss(student[:batch], teacher[:batch])
        total = total + WEIGHTS["retain"] * F.mse_loss(student[batch:], teacher[batch:])
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        if self.done % 10 == 0:
            total.item()

    def latents(self, name: str) -> torch.Tensor:
        mean, std = self.posteriors[name]
        chosen = torch.randint(0, len(mean), (self.setting.batch,))
        return (mean[chosen] + std[chosen] * torch.randn_like(mean[chosen])) * SCALING[self.setting.folder]


SCALING: dict[Path, float] = {}


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


def saliency_losses(pipe, setting: Setting) -> Iterator[torch.Tensor]:
    """Yield the loss of each batch of an epoch; latents and states are at hand."""
    from diffusers import DDPMScheduler

    schedule, generator = DDPMScheduler.from_config(pipe.scheduler.config), torch.Generator().manual_seed(0)
    side, channels = setting.size // pipe.vae_scale_factor, pipe.unet.config.in_channels
    for _ in range(0, setting.pictures, setting.batch):
        latents, noise = (torch.randn(setting.batch, channels, side, side, generator=generator) for _ in range(2))
        states = torch.randn(
            setting.batch, pipe.tokenizer.model_max_length, pipe.unet.config.cross_attention_dim, generator=generator
        )
        timesteps = torch.randint(0, 1000, (setting.batch,), generator=generator)
        noisy = schedule.add_noise(latents, noise, timesteps)
        yield F.mse_loss(pipe.unet(noisy, timesteps, encoder_hidden_states=states).sample, noise)


def matrices(unet) -> dict[str, torch.nn.Parameter]:
    from vu_train.adapters import matrix_layers

    return {name: unet.get_submodule(name).weight for name in matrix_layers(unet)}


def saliency_published(pipe, setting: Setting) -> dict[str, float]:
    """Keep every gradient, and a sum of absolute gradients beside them."""
    pipe.unet.requires_grad_(True)
    sums = {name: torch.zeros_like(weight) for name, weight in matrices(pipe.unet).items()}
    for loss in saliency_losses(pipe, setting):
        loss.backward()
        for name, weight in matrices(pipe.unet).items():
            sums[name] += weight.grad.abs()
        pipe.unet.zero_grad()
    return {name: total.mean().item() for name, total in sums.items()}


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


def load_pipeline(folder: Path):
    import diffusers
    from diffusers import StableDiffusionPipeline

    diffusers.logging.disable_progress_bar()
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, dtype=torch.float32)
    for module in (pipe.vae, pipe.text_encoder, pipe.unet):
        module.requires_grad_(False).eval()
    SCALING[folder] = pipe.vae.config.scaling_factor
    return pipe


def with_peft(unet):
    from peft import LoraConfig

    config = LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=list(LAYERS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unet.add_adapter(config)
    return unet


@contextmanager
def without_adapter(unet) -> Iterator[None]:
    unet.disable_adapters()
    yield
    unet.enable_adapters()


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


def cycle(loader) -> Iterator[torch.Tensor]:
    while True:
        yield from loader


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


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
