"""Encoding and denoising give what the pipeline itself computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from vu_diffusers.model import adopt, load

from vu_core import EditError, ModelError, RequestError, SamplerSettings
from vu_core.edits import Edit, tensor_sha256
from vu_core.testing.pipelines import build_pipeline, write_pipeline

PROMPTS = ["a photo of a cat", "", "a dog in van gogh style", "a photo of a cat", "long " * 100]


def test_states_equal_the_pipelines(folder: Path, family: str) -> None:
    encoding = load(str(folder)).encode(PROMPTS)
    expected = build_pipeline(family=family).encode_prompt(
        PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    assert torch.equal(encoding.states["text"], expected[0])
    assert encoding.states["text"].dtype == torch.float32
    if family == "sdxl":
        # One matrix product, whose last bits depend on how many rows there are and where they lie in memory.
        torch.testing.assert_close(encoding.states["pooled"][:, 0], expected[2], rtol=0, atol=1e-6)
    else:
        assert set(encoding.states) == {"text"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_states_do_not_depend_on_the_type_that_pictures_are_drawn_in(folder: Path, dtype: str) -> None:
    states = load(str(folder)).encode(PROMPTS).states
    half = load(str(folder), dtype=dtype)
    for stream, values in half.encode(PROMPTS).states.items():
        assert torch.equal(values, states[stream])
    assert str(next(half.component("text_encoder").parameters()).dtype) == f"torch.{dtype}"
    assert len(list(half.sample(PROMPTS[:1], [0], SamplerSettings(steps=2, guidance_scale=1.0, micro_batch=1)))) == 1
    assert torch.equal(half.encode(PROMPTS).states["text"], states["text"])


def test_a_half_precision_pipeline_is_encoded_in_float32_and_stays_as_it_is(family: str) -> None:
    pipe = build_pipeline(family=family).to(torch.bfloat16)
    before = {name: tensor_sha256(tensor) for name, tensor in pipe.text_encoder.state_dict().items()}
    states = adopt(pipe).encode(PROMPTS).states
    assert {name: tensor_sha256(tensor) for name, tensor in pipe.text_encoder.state_dict().items()} == before
    for stream, values in adopt(pipe.to(torch.float32)).encode(PROMPTS).states.items():
        assert torch.equal(states[stream], values)


def test_an_edited_text_encoder_is_not_taken_for_the_base_model_s(folders: dict[str, Path]) -> None:
    full, half = (load(str(folders["sd1"]), dtype=dtype) for dtype in ("float32", "bfloat16"))
    name = next(name for name in full.tensor_names("text_encoder") if name.endswith("k_proj.weight"))
    edit = Edit.dense({f"text_encoder.{name}": 2 * full.tensor("text_encoder", name)})
    base = full.encode(["a cat"]).states["text"]
    with edit.applied(full), edit.applied(half):
        assert not torch.equal(full.encode(["a cat"]).states["text"], base)
        with pytest.raises(EditError, match="applied to the text_encoder of"):
            half.encode(["a cat"])
    elsewhere = Edit.dense({f"unet.{half.sites()[0].parameter}": torch.zeros(half.sites()[0].shape)})
    with elsewhere.applied(half):
        assert torch.equal(half.encode(["a cat"]).states["text"], base)


def test_masks_count_the_prompts_tokens(folder: Path) -> None:
    encoding = load(str(folder)).encode(PROMPTS)
    mask = encoding.mask["text"]
    assert mask.dtype == torch.bool
    # "a photo of a cat": begin, 5 words of which "photo" is in the vocabulary, end.
    assert mask.sum(dim=1).tolist()[:2] == [7, 2]
    assert mask.sum(dim=1)[-1] == mask.shape[1] == 77
    assert encoding.first["text"] == 1
    rows = encoding.states["text"]
    assert torch.equal(rows[0, 0], rows[2, 0])
    assert torch.equal(rows[0], rows[3])


def test_states_do_not_depend_on_company(folder: Path) -> None:
    model = load(str(folder))
    many = model.encode([f"a {word} in the sky" for word in "abcdefghij" * 5] + PROMPTS)
    alone = model.encode(PROMPTS[2:3])
    torch.testing.assert_close(many.states["text"][52:53], alone.states["text"], rtol=0, atol=1e-5)


def test_no_prompts(folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError, match="no prompt"):
        load(str(folders["sd1"])).encode([])


def test_nan_weights_are_an_error(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path)
    file = folder / "text_encoder/model.safetensors"
    weights = load_file(file)
    next(tensor for name, tensor in weights.items() if name.endswith("k_proj.weight"))[0, 0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        load(str(folder)).encode(["a cat"])


def test_prediction_types(folders: dict[str, Path]) -> None:
    found = {family: load(str(folder)).prediction_type for family, folder in folders.items()}
    assert found == {"sd1": "epsilon", "sd2": "v_prediction", "sdxl": "epsilon"}


def test_denoising_equals_the_pipelines_first_step(folder: Path, family: str) -> None:
    pipe = build_pipeline(family=family)
    seen = {}

    def keep(_, args, kwargs, output):
        seen.setdefault("call", (args[0].clone(), args[1], output[0].clone()))

    pipe.unet.register_forward_hook(keep, with_kwargs=True)
    pipe(["a cat"], guidance_scale=1.0, num_inference_steps=2, generator=torch.Generator().manual_seed(0))
    latents, timestep, expected = seen["call"]
    model = load(str(folder))
    prediction = model.denoise(latents, timestep.reshape(1), model.encode(["a cat"]))
    torch.testing.assert_close(prediction, expected, rtol=0, atol=1e-5)


def test_gradients_flow_through_denoising() -> None:
    model = adopt(build_pipeline())
    latents = torch.zeros(2, 4, 8, 8, requires_grad=True)
    model.denoise(latents, torch.tensor([10, 500]), model.encode(["a cat", "a dog"])).sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0


def test_original_text_encoder_names_are_read(tmp_path: Path) -> None:
    """Folders written by older libraries store the encoder's tensors under ``text_model.``."""
    folder = write_pipeline(tmp_path)
    expected = load(str(folder)).encode(["a cat"]).states["text"]
    file = folder / "text_encoder/model.safetensors"
    renamed = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in load_file(file).items()}
    save_file(renamed, file, metadata={"format": "pt"})
    assert torch.equal(load(str(folder)).encode(["a cat"]).states["text"], expected)
