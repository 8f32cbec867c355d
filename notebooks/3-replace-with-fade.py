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
# # Replace a concept with FADE
#
# FADE trains. A small adapter learns to answer the captions of one concept as the model itself answers those of
# another, and to answer all other captions as before. Here cats become dogs.
#
# The model's preset takes 200 steps, about a minute and a half of one core. So that this notebook stays short, it takes
# fewer and larger ones on fewer pictures: a hasty training, and the numbers below are its own. Leave `**hasty` out for
# the preset.

# %%
from IPython.display import display

import vu_core as vu

hasty = {"steps": 60, "learning_rate": 2e-3, "pictures_each": 4, "retain_batch_size": 4}

model = vu.load_model("emoji")
prompts = ["a cat", "a dog", "a rabbit", "a car"]
vu.sample(model, prompts)

# %% [markdown]
# ## Train
#
# The dataset of the model has pictures. Some of cats are forgotten, some of each other object are kept, and none of
# them is one that a protocol draws. `out` keeps what a training leaves. After an interruption the same call goes on
# from there, and ends with the same edit.

# %%
edit = vu.unlearn("fade", model, forget="cat", replace_with="dog", log_every=2, out="runs/fade-cat", **hasty)
edit

# %% [markdown]
# It says which caption took the place of which:

# %%
edit.info["overwriting"][:3]

# %% [markdown]
# ## How the training went
#
# The forget loss compares the adapted model on a caption of a cat with the model itself on that of a dog. The retain
# loss compares both on any other caption: it begins at zero, as there is nothing to repair yet.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt

events = [json.loads(line) for line in Path("runs/fade-cat/events.jsonl").read_text().splitlines()]
figure, axes = plt.subplots(figsize=(6, 3))
for loss in ("loss/forget", "loss/retain"):
    axes.plot([event["step"] for event in events], [event[loss] for event in events], label=loss)
axes.set(xlabel="step", ylabel="mean squared error")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
# ## After
#
# The same prompts and noises as above.

# %%
vu.sample(model, prompts, edit)

# %%
result = vu.evaluate(model, edit, protocol="emoji-small@1")
result

# %% [markdown]
# `replaced` counts the pictures asked for a cat in which the judge sees a dog: what was asked for. `ua` counts
# everything that is no cat. Haste has its price: look at the rows of `retain` and `neighbours`, and at the dogs above.

# %%
for metric in ("ua", "replaced"):
    found = result[metric, "forget"]
    print(f"{metric:<10} {found.before:5.1f} % -> {found.after:5.1f} %   n={found.n}")

# %% [markdown]
# ## On Stable Diffusion
#
# *Needs a hub, and a GPU to be done today.* Without pictures of your own the model draws what it learns from. A style
# needs others beside it that are to be kept.

# %% tags=["needs-a-hub"]
MODEL = "CompVis/stable-diffusion-v1-4"
SETTINGS = {"steps": 30}
STEPS = 150
EACH = 10

stable_diffusion = vu.load_model(MODEL, download=True)
monet = vu.unlearn(
    "fade",
    stable_diffusion,
    forget="style:Van Gogh",
    replace_with="style:Monet",
    retain=["style:Picasso", "style:Rembrandt"],
    pictures="model",
    pictures_each=EACH,
    caption="a painting by {concept}",
    steps=STEPS,
)
paintings = ["a painting by Van Gogh", "a painting by Monet", "a painting by Picasso"]
display(vu.sample(stable_diffusion, paintings, **SETTINGS), vu.sample(stable_diffusion, paintings, monet, **SETTINGS))

# %% [markdown]
# The published example: George W. Bush becomes Tony Blair, from a few photographs of each person of *Labeled Faces in
# the Wild*. `FACES` is their folder, a folder a person. No hub brings it.

# %% tags=["needs-a-hub"]
FACES = "path/to/lfw"

blair = vu.unlearn(
    "fade",
    stable_diffusion,
    forget="George W Bush",
    replace_with="Tony Blair",
    dataset="lfw",
    data={"root": FACES},
    pictures_each=EACH,
    steps=STEPS,
)
people = ["a portrait of George W Bush", "a portrait of Tony Blair", "a portrait of Laura Bush"]
display(vu.sample(stable_diffusion, people, **SETTINGS), vu.sample(stable_diffusion, people, blair, **SETTINGS))
