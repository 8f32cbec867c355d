"""Time, memory and bytes of uce on a checkpoint of Stable Diffusion 1.4's exact shapes.

    python benchmarks/uce.py [--edits 1,10,100,1000] [--repeats 5] [--folder FOLDER] [--json FILE]

The checkpoint is written by `vu_core.testing.checkpoints`: a CLIP ViT-L/14 text encoder with random weights,
and a U-Net file that lists all 686 tensors of SD 1.4 in float32, 3.4 GB. Its 32 key and value matrices are
random; the other tensors are holes (zeros that take no space on disk), for uce must not read them.

Solving is compared, in one process, on the same rows and weights, with
(a) the released loop: one outer product a concept and module, one inverse a module, float32;
(b) its best vectorised form: all modules stacked, matrix products over all concepts, one shared inverse;
(c) as (b), with one inverse a module, as released.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import torch

EMBEDDING, ENOUGH_SECONDS = 768, 20.0
CLIP_MODULES = ("transformers.models.clip.modeling_clip", "transformers.models.clip.tokenization_clip")
IMPORTED = ("vu_diffusers.model", "vu_diffusers.text", "vu_uce.unlearner", *CLIP_MODULES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edits", default="1,10,100,1000", help="numbers of concepts to solve for")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the checkpoint lies or is written; temporary if left out")
    parser.add_argument("--json", type=Path, help="file that receives all numbers")
    parser.add_argument("--child", choices=["imports", "run"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_once(options.folder) if options.child == "run" else import_everything()))
        return
    with tempfile.TemporaryDirectory() as temporary:
        from vu_core.testing.checkpoints import write_checkpoint

        folder = options.folder or Path(temporary) / "sd14"
        if not (folder / "model_index.json").is_file():
            write_checkpoint(folder)
        results = {
            "machine": {"threads": torch.get_num_threads(), "cores": os.cpu_count(), "torch": torch.__version__},
            "solve": [solve_times(int(n), options.repeats) for n in options.edits.split(",")],
            "end_to_end": end_to_end(folder, options.repeats),
        }
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


# Solving -------------------------------------------------------------------------------------------


def solve_times(n: int, repeats: int) -> dict:
    generator = torch.Generator().manual_seed(n)
    concepts, guides = (
        torch.nn.functional.layer_norm(torch.randn(n, EMBEDDING, generator=generator), (EMBEDDING,)) for _ in range(2)
    )
    sites = value_and_key_sites()
    weights = [torch.randn(site.shape, generator=generator) / EMBEDDING**0.5 for site in sites]
    stacked = torch.cat(weights)
    contestants = {
        "uce": lambda: uce(concepts, guides, sites, weights),
        "loop": lambda: released_loop(concepts, guides, weights),
        "vectorised": lambda: vectorised(concepts, guides, stacked),
        "vectorised_inverses": lambda: vectorised(concepts, guides, stacked, inverses=len(weights)),
    }
    form = check_agreement(contestants, weights)
    contestants["next_scale"] = next_scale(concepts, guides)
    times = {name: summary(measure(work, repeats)) for name, work in contestants.items()}
    return {"edits": n, "form": form, **times}


def value_and_key_sites() -> list:
    from vu_core.types import Site

    widths = [320] * 2 + [640] * 2 + [1280] * 2 + [1280] + [1280] * 3 + [640] * 3 + [320] * 3
    return [
        Site(component="unet", path=f"{i}.{role}", role=role, stream="text", shape=(width, EMBEDDING))
        for i, width in enumerate(widths)
        for role in ("key", "value")
    ]


def uce(concepts, guides, sites, weights) -> list:
    from vu_uce.config import UceConfig
    from vu_uce.system import UceSystem
    from vu_uce.unlearner import change_of, low_rank_is_smaller

    system = UceSystem(EMBEDDING)
    system.add_edits(concepts, guides)
    change = change_of(system, UceConfig(), 1.0)
    if low_rank_is_smaller(sites, {"text": change}):
        return [change.low_rank(weight) for weight in weights]
    return [change.dense(weight) for weight in weights]


def next_scale(concepts, guides):
    """Return the work of one more point of a grid over scales: everything but the layers."""
    from vu_uce.system import UceSystem

    system = UceSystem(EMBEDDING)
    system.add_edits(concepts, guides)
    system.solve(1.0, 1.0, 0.5)
    return lambda: system.solve(2.0, 1.0, 0.1)


def released_loop(concepts, guides, weights, erase_scale=1.0, lamb=0.5) -> list:
    edited = []
    outputs = [[guide[None] @ weight.T for weight in weights] for guide in guides]
    for index, weight in enumerate(weights):
        mat1 = lamb * weight
        mat2 = lamb * torch.eye(weight.shape[1])
        for i in range(len(concepts)):
            c, v = concepts[i][None].T, outputs[i][index].T
            mat1 += erase_scale * (v @ c.T)
            mat2 += erase_scale * (c @ c.T)
        edited.append(mat1 @ torch.inverse(mat2))
    return edited


def vectorised(concepts, guides, stacked, erase_scale=1.0, lamb=0.5, inverses=1) -> torch.Tensor:
    mat1 = torch.addmm(stacked, (guides @ stacked.T).T, concepts, beta=lamb, alpha=erase_scale)
    mat2 = torch.addmm(torch.eye(EMBEDDING), concepts.T, concepts, beta=lamb, alpha=erase_scale)
    for _ in range(inverses):
        inverse = torch.inverse(mat2)
    return mat1 @ inverse


def check_agreement(contestants, weights) -> str:
    """Return the form of our edit; refuse to time what does not compute the same as (b)."""
    ours, theirs = contestants["uce"](), contestants["vectorised"]()
    low_rank = isinstance(ours[0], tuple)
    if low_rank:
        ours = [weight + b @ a for weight, (a, b) in zip(weights, ours, strict=True)]
    error = float((torch.cat(ours) - theirs).norm() / theirs.norm())
    if error > 1e-3:
        raise SystemExit(f"uce and the vectorised form differ by {error:.1e}")
    return "low rank" if low_rank else "dense"


def measure(work, repeats: int) -> list[float]:
    """Return seconds of several repeats after one for warming up; one is enough for what takes very long."""
    times: list[float] = []
    with torch.no_grad():
        while len(times) <= repeats and not sum(times) > ENOUGH_SECONDS:
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return times[1:] or times


def summary(times: list[float]) -> dict:
    return {"median": statistics.median(times), "min": min(times), "max": max(times), "n": len(times)}


# End to end, in processes of their own ---------------------------------------------------------------


def end_to_end(folder: Path, repeats: int) -> dict:
    rows = {}
    for state in ("warm", "cold"):
        runs = []
        for _ in range(max(1, repeats)):
            if state == "cold":
                drop_from_cache(folder)
            runs.append(child("run", folder))
        rows[state] = {key: summary([run[key] for run in runs]) for key in runs[0]}
    rows["imports"] = summary([child("imports", folder)["wall"] for _ in range(max(1, repeats))])
    encoder = folder / "text_encoder" / "model.safetensors"
    rows["expected_bytes"] = encoder.stat().st_size + sum(4 * s.shape[0] * s.shape[1] for s in value_and_key_sites())
    rows["checkpoint_bytes"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return rows


def child(what: str, folder: Path) -> dict:
    start = time.perf_counter()
    command = [sys.executable, __file__, "--child", what, "--folder", str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {"wall": time.perf_counter() - start, **json.loads(output.splitlines()[-1])}


def import_everything() -> dict:
    for module in IMPORTED:
        import_module(module)
    return {}


def run_once(folder: Path) -> dict:
    """Load, unlearn one concept, write the edit; what was read and how memory grew after the imports."""
    import_everything()
    from vu_diffusers.model import load
    from vu_uce.config import UceConfig
    from vu_uce.unlearner import Uce

    from vu_core.context import RunContext
    from vu_core.editfiles import write_edit
    from vu_core.interfaces import Data
    from vu_core.types import Concept, Request

    memory, disk, start = resident(), read_from_disk(), time.perf_counter()
    model = load(str(folder))
    counted = CountingTensors(model.tensor)
    model.tensor = counted
    request = Request(forget=(Concept(name="cat"),))
    with tempfile.TemporaryDirectory() as out:
        context = RunContext(out_dir=Path(out))
        edit = Uce().unlearn(model, request, Data(forget=request.forget, retain=()), UceConfig(), context)
        write_edit(edit, Path(out) / "edit.safetensors")
    seconds = time.perf_counter() - start
    return {
        "after_imports": seconds,
        "memory_growth": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory,
        "matrix_bytes": counted.bytes,
        "disk_bytes": read_from_disk() - disk,
    }


class CountingTensors:
    """Counts the bytes that a model hands out as tensors."""

    def __init__(self, tensor) -> None:
        self.tensor, self.bytes = tensor, 0

    def __call__(self, component: str, name: str) -> torch.Tensor:
        tensor = self.tensor(component, name)
        self.bytes += tensor.numel() * tensor.element_size()
        return tensor


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def read_from_disk() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def drop_from_cache(folder: Path) -> None:
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# The table -------------------------------------------------------------------------------------------


def show(results: dict) -> None:
    machine = results["machine"]
    print(f"torch {machine['torch']}, {machine['threads']} threads on {machine['cores']} cores; median (min to max)\n")
    names = ("uce", "loop", "vectorised", "vectorised_inverses", "next_scale")
    columns = ["edits", "uce", "(a) released loop", "(b) vectorised", "(c) 32 inverses", "uce, next scale"]
    columns += ["a / uce", "b / uce", "c / uce", "form"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for row in results["solve"]:
        cells = [
            f"{1e3 * row[n]['median']:.1f} ms ({1e3 * row[n]['min']:.1f} to {1e3 * row[n]['max']:.1f})" for n in names
        ]
        ratios = [f"{row[name]['median'] / row['uce']['median']:.1f}" for name in names[1:4]]
        print(f"| {row['edits']} | {' | '.join(cells + ratios)} | {row['form']} |")
    ends = results["end_to_end"]
    print("\n| one concept, end to end | warm cache | cold cache |\n|---|---|---|")
    for key, unit, scale in (
        ("wall", "s", 1),
        ("after_imports", "s", 1),
        ("memory_growth", "GB", 1e-9),
        ("matrix_bytes", "MB", 1e-6),
        ("disk_bytes", "MB", 1e-6),
    ):
        cells = [f"{scale * ends[state][key]['median']:.2f} {unit}" for state in ("warm", "cold")]
        print(f"| {key.replace('_', ' ')} | {' | '.join(cells)} |")
    expected, whole = (1e-6 * ends[key] for key in ("expected_bytes", "checkpoint_bytes"))
    print(f"\nImports alone take {ends['imports']['median']:.2f} s of the wall time.")
    print(f"The text encoder and the 32 matrices are {expected:.1f} MB of {whole:.0f} MB.")


if __name__ == "__main__":
    main()
