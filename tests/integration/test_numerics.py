"""Nothing that a caller has set in PyTorch reaches an edit, a picture or a verdict; nothing of it is lost."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from vu_core.numerics import float32_precision, torch_defaults

PROTOCOL = """
name = "surroundings@1"
summary = "Two objects, one picture each."
dataset = "emoji"
templates = ["a {object} image in {style} style"]
articles = true
seeds = [0]
seed_rule = "per-prompt"
[grid]
object = ["cat", "dog"]
style = ["noto"]
[sampler]
steps = 2
guidance_scale = 3.0
micro_batch = 2
[scorers]
object = "emoji-object"
style = "emoji-style"
clip = "emoji-clip"
[metrics]
ua = {}
clip_score = {}
"""


@contextmanager
def default_dtype():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


SURROUNDINGS = {
    "default dtype": default_dtype,
    "default device": default_device,
    "device context": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


@pytest.fixture(params=SURROUNDINGS)
def surroundings(request):
    return SURROUNDINGS[request.param]


def state():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    )


def test_inside_all_is_as_in_a_fresh_process_and_outside_as_before(surroundings):
    fresh = state()
    with surroundings():
        before = state()
        assert before != fresh
        with torch_defaults():
            assert state() == fresh
            weight = torch.ones(2, 2, requires_grad=True)
            product = weight @ weight
            assert (product.dtype, product.device.type, product.requires_grad) == (torch.float32, "cpu", True)
            assert not weight.is_inference()
        assert state() == before
        with pytest.raises(KeyError), torch_defaults():
            raise KeyError
        assert state() == before
    assert state() == fresh


def test_the_precision_of_float32_is_named():
    assert float32_precision("cpu") == {"convolutions": "ieee", "matmuls": "ieee"}
    assert set(float32_precision("cuda").values()) <= {"ieee", "tf32"}
    assert float32_precision("mps") == {}
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert float32_precision("cpu")["matmuls"] == "bf16"
        assert float32_precision("cuda")["matmuls"] == "tf32"
    finally:
        torch.set_float32_matmul_precision(before)


def session(folder):
    """Return what a user's session gives: edit, numbers, pictures, and the weights written and swapped in."""
    import vu_core as vu

    folder.mkdir()
    (folder / "protocol.toml").write_text(PROTOCOL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VU_CACHE_DIR", str(folder / "cache"))
        model = vu.load_model("emoji", device="cpu")
        edit = vu.unlearn("uce", model, forget="cat", progress=False)
        found = vu.evaluate(model, edit, protocol=folder / "protocol.toml", out=folder / "pictures", progress=False)
    merged = vu.export(edit.scaled(0.5), folder / "merged", to="diffusers-pipeline", model=model)
    with edit.applied(model):
        swapped = model.component("unet").get_parameter(model.sites()[0].parameter)
    assert not swapped.is_inference()
    pictures = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("pictures/**/*.png")}
    assert len(pictures) == 4 + 1 and not found.errors  # and the contact sheet
    return {
        "edit": edit.sha256(),
        "numbers": str(found),
        "pictures": pictures,
        "written": (merged / "unet/diffusion_pytorch_model.safetensors").read_bytes(),
        "swapped in": swapped.detach().numpy().tobytes(),
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")
    return session(tmp_path_factory.mktemp("fresh") / "session")


@pytest.mark.embedded
def test_a_session_gives_the_same_whatever_is_set(surroundings, expected, tmp_path):
    with surroundings():
        found = session(tmp_path / "session")
    assert [key for key, value in expected.items() if found[key] != value] == []


@pytest.mark.embedded
def test_an_edit_does_not_depend_on_the_type_that_pictures_are_drawn_in():
    pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")
    import vu_core as vu

    def edit(model):
        return vu.unlearn("uce", model, forget="cat", retain="dog", preset="none", progress=False).sha256()

    full, *halves = (vu.load_model("emoji", device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16", "float16"))
    expected = edit(full)
    assert [edit(half) for half in halves] == [expected, expected]


@pytest.mark.embedded
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_edit_of_a_pipeline_in_memory_is_computed_in_float32(dtype):
    pytest.importorskip("vu_emoji", reason="vu-emoji is not installed")
    from diffusers import StableDiffusionPipeline

    import vu_core as vu
    from vu_core.models import resource_path

    folder = resource_path("vu_emoji:assets/pipeline")
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None).to(dtype)
    edit = vu.unlearn("uce", vu.load_model(pipe), forget="cat", retain="dog", progress=False)
    assert {part.dtype for part in (pipe.unet, pipe.text_encoder, pipe.vae)} == {dtype}
    wide = vu.unlearn("uce", vu.load_model(pipe.to(torch.float32)), forget="cat", retain="dog", progress=False)
    assert edit.sha256() == wide.sha256()
