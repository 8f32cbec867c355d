"""How many floating-point operations FADE's step takes as published, and here: by shapes alone, nothing is computed.

    python benchmarks/fade_operations.py

Counted are the matrix products and convolutions of one forgotten and one retained picture, by torch's counter on
tensors without content. The published step passes both through the VAE and three captions through the text encoder, and
takes the student's gradient and the teacher's answer for each picture; vu-fade leaves the encoders out. ``prefix`` is
the share of a step that is saved if student and teacher compute what comes before the first adapted layer together.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from fade_published import with_peft
from torch.utils.flop_counter import FlopCounterMode

from vu_core.models import resource_path
from vu_core.testing.checkpoints import write_checkpoint

SIZES = {"emoji": (64,), "sd14": (128, 512)}
CAPTIONS = 3
PICTURES = 2


def networks(folder: Path):
    """Return U-Net, VAE and text encoder of a pipeline's shapes, without content."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    def config(part: str) -> dict:
        return json.loads((folder / part / "config.json").read_text(encoding="utf-8"))

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config("unet"))
        vae = AutoencoderKL.from_config(config("vae"))
        text = CLIPTextModel(CLIPTextConfig(**config("text_encoder")))
    for network in (unet, vae, text):
        network.requires_grad_(False).eval()
    return unet, vae, text


def operations(folder: Path, size: int) -> dict[str, float]:
    """Return operations by part of a step, of one picture or caption."""
    unet, vae, text = networks(folder)
    side = size // 2 ** (len(vae.config.block_out_channels) - 1)
    noisy = torch.empty(1, unet.config.in_channels, side, side, device="meta")
    length = text.config.max_position_embeddings
    states = torch.empty(1, length, unet.config.cross_attention_dim, device="meta")
    timestep = torch.zeros(1, dtype=torch.int64, device="meta")
    tokens = torch.zeros(1, length, dtype=torch.int64, device="meta")

    def count(work) -> tuple[int, dict]:
        with FlopCounterMode(display=False) as counter:
            work()
        return counter.get_total_flops(), counter.get_flop_counts()

    with torch.no_grad():
        teacher, by_module = count(lambda: unet(noisy, timestep, encoder_hidden_states=states))
        encode, _ = count(lambda: vae.encode(torch.empty(1, 3, size, size, device="meta")))
        caption, _ = count(lambda: text(tokens))
    shared = ("time_embedding", "conv_in", *first_shared(unet))
    prefix = sum(sum(found.values()) for name, found in by_module.items() if name.partition(".")[2] in shared)
    student, _ = count(
        lambda: with_peft(unet)(noisy, timestep, encoder_hidden_states=states).sample.square().mean().backward()
    )
    return {"teacher": teacher, "student": student, "encode": encode, "caption": caption, "prefix": prefix}


def first_shared(unet) -> list[str]:
    """Return the parts of the denoiser before its first attention."""
    found = []
    for number, block in enumerate(unet.down_blocks):
        if getattr(block, "attentions", None):
            return [*found, f"down_blocks.{number}.resnets.0"]
        found.append(f"down_blocks.{number}")
    return found


def main() -> None:
    print("| | pixels | U-Net, a picture | VAE, a picture | published step beside vu's | prefix of a step |")
    print("|---|---|---|---|---|---|")
    with TemporaryDirectory() as temporary:
        folders = {"emoji": resource_path("vu_emoji:assets/pipeline"), "sd14": write_checkpoint(Path(temporary) / "sd")}
        for name, sizes in SIZES.items():
            for size in sizes:
                found = operations(folders[name], size)
                ours = PICTURES * (found["student"] + found["teacher"])
                published = ours + PICTURES * found["encode"] + CAPTIONS * found["caption"]
                cells = [f"{found[part] / 1e9:.2f} G" for part in ("teacher", "encode")]
                share = 100 * PICTURES * found["prefix"] / ours
                print(f"| {name} | {size} | {' | '.join(cells)} | {published / ours:.2f} | {share:.1f} % |")


if __name__ == "__main__":
    main()
