# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # First run
#
# A text-to-image model will forget what a cat is. You will look at its pictures before and after, measure what it
# forgot and what it kept, and take the result with you as a small file.
#
# The model, its art and its judges travel with the plugin `vu-emoji`: nothing is downloaded and no GPU is needed.

# %%
from IPython.display import Image, display

import vu_core as vu

model = vu.load_model("emoji")
model.name, model.family

# %% [markdown]
# ## Before
#
# The model draws 30 objects in 6 styles, at 64 x 64 pixels. A row is a prompt, a column is a noise to start from.

# %%
prompts = ["a cat", "a dog", "a rabbit", "a car"]
vu.sample(model, prompts)

# %% [markdown]
# ## Unlearn
#
# Unified Concept Editing needs no training. It solves for the smallest change of the matrices through which text enters
# the model, such that "cat" reads like its nearest neighbour and everything else reads as before.
#
# The result is an *edit*. The model itself is never changed.

# %%
edit = vu.unlearn("uce", model, forget="cat")
edit

# %% [markdown]
# ## After
#
# The same prompts and the same noises, with the edit in effect.

# %%
vu.sample(model, prompts, edit)

# %% [markdown]
# ## Measure
#
# A look proves little. A protocol fixes prompts, noises, judges and metrics. `emoji-small@1` draws six objects in six
# styles, each once before and once after; `emoji-quick@1` draws all 30 objects. Judges that share no weights with the
# model say what each picture shows.

# %%
result = vu.evaluate(model, edit, protocol="emoji-small@1", out="runs/uce-cat")
result

# %% [markdown]
# - `ua` on `forget`: of the pictures that were asked to show a cat, so many are not judged a cat.
# - `ua_recognised`: of these, so many are judged another object of the list. A model that draws noise for a cat has a
#   `ua` of 100 as well. This number tells forgetting from destroying.
# - `ira` and `cra` on `retain`: the other objects, and the styles, are still recognised.
# - `neighbours` are the objects most like a cat. Damage shows there first.
#
# Every number has an interval. Six pictures show a cat, so it is wide:

# %%
forgotten = result["ua_recognised", "forget"]
print(f"{forgotten.after:.0f} % of {forgotten.n}, 95 % interval {forgotten.after_interval.low:.0f} to 100 %")

# %% [markdown]
# The contact sheet shows the same for the eye. The forgotten concept stands first, then its neighbours.

# %%
Image("runs/uce-cat/contact-sheet.png")

# %% [markdown]
# ## Take it with you
#
# An edit can be made weaker, combined with others, and removed. At a scale of 0 it changes nothing.

# %%
vu.sample(model, "a cat", edit.scaled(0.3))

# %% [markdown]
# It is a safetensors file. The same change, as a LoRA, loads in plain diffusers:
#
# ```python
# pipe = DiffusionPipeline.from_pretrained("path/to/pipeline")
# pipe.load_lora_weights("cat-lora.safetensors")
# ```

# %%
vu.write_edit(edit, "cat.safetensors")
vu.export(edit, "cat-lora.safetensors", to="diffusers-lora")

# %% [markdown]
# ## On Stable Diffusion
#
# *Needs a hub, and some gigabytes of downloads; a GPU helps.* The same calls, another model. `download=True` allows the
# network once. Any folder or hub id of the SD 1.x, 2.x and SDXL families takes its place:
# `stabilityai/stable-diffusion-xl-base-1.0`.

# %% tags=["needs-a-hub"]
MODEL = "CompVis/stable-diffusion-v1-4"
SETTINGS = {"steps": 30}

stable_diffusion = vu.load_model(MODEL, download=True)
van_gogh = vu.unlearn("uce", stable_diffusion, forget="style:Van Gogh", tokens="aligned-tail")
paintings = ["a painting by Van Gogh", "a painting by Monet", "a photo of a dog"]
before = vu.sample(stable_diffusion, paintings, **SETTINGS)
after = vu.sample(stable_diffusion, paintings, van_gogh, **SETTINGS)
display(before, after)

# %% [markdown]
# People of *Labeled Faces in the Wild* are concepts of the dataset `lfw`. It knows who else is there, so that UCE can
# keep the others. `FACES` is the folder of the photographs, a folder a person. No hub brings it.

# %% tags=["needs-a-hub"]
FACES = "path/to/lfw"

blair = vu.unlearn(
    "uce",
    stable_diffusion,
    forget="George W Bush",
    replace_with="Tony Blair",
    dataset="lfw",
    data={"root": FACES},
    tokens="aligned-tail",
    preserve="dataset",
)
people = ["a portrait of George W Bush", "a portrait of Tony Blair", "a portrait of Laura Bush"]
display(vu.sample(stable_diffusion, people, **SETTINGS), vu.sample(stable_diffusion, people, blair, **SETTINGS))
