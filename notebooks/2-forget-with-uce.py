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
# # Forget with UCE, and tune it
#
# Unified Concept Editing computes an edit in closed form. For every matrix $W$ that reads text it minimises
#
# $$ s \sum_i |W' c_i - W g_i|^2 + q \sum_j |W' p_j - W p_j|^2 + \lambda |W' - W|^2 $$
#
# where $c_i$ are token states of what is forgotten, $g_i$ those of what takes its place, and $p_j$ those of what is
# kept. In vu $s$ is `erase_scale`, $q$ is `preserve_scale` and $\lambda$ is `regularization`.

# %%
from IPython.display import display

import vu_core as vu

model = vu.load_model("emoji")
published = vu.unlearn("uce", model, forget="cat", preset="none")
tuned = vu.unlearn("uce", model, forget="cat")
published, tuned

# %% [markdown]
# Both took seconds. They differ in their options. `preset="none"` has the published values, which were found on Stable
# Diffusion. Without it the model's own preset is used, and the edit says so:

# %%
[(edit.info["preset"], edit.info["config"]) for edit in (published, tuned)]

# %%
prompts = ["a cat", "a dog", "a rabbit", "a car"]
display(vu.sample(model, prompts, published), vu.sample(model, prompts, tuned))

# %% [markdown]
# ## Measure
#
# `emoji-small@1` draws six objects in six styles. That is quick, and its intervals are wide: use `emoji@1` for a result
# that you report.

# %%
for edit in (published, tuned):
    print(vu.evaluate(model, edit, protocol="emoji-small@1", metrics=["ua_recognised", "ira", "cra"]), end="\n\n")

# %% [markdown]
# ## Search
#
# Forgetting and keeping pull in different directions. `vu tune` looks for settings that no other one beats in both. It
# remembers every setting: the same command, given again, goes on where it stopped.
#
# It tunes on rabbits here. Numbers that chose a setting flatter it, so cats are left for the report below.

# %% language="bash"
# vu tune uce --protocol emoji-small@1 --forget rabbit --out runs/tune-uce --trials 4 \
#   --search erase_scale=0.5:50:log --search preserve_scale=0.0001:0.01:log \
#   --objective clip_score:forget --objective clip_score:retain

# %% [markdown]
# All that was tried lies in `tuning.json`. Left and up is better: a picture of a forgotten thing should not fit its
# prompt, one of a kept thing should.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt

settings = json.loads(Path("runs/tune-uce/tuning.json").read_text())["settings"]
print("setting  erase_scale  preserve_scale  rabbits   rest")
figure, axes = plt.subplots(figsize=(6, 4))
for setting in settings:
    number, options, (forget, retain) = setting["number"], setting["options"], setting["values"]
    print(
        f"{number:7}  {options['erase_scale']:11.3g}  {options['preserve_scale']:14.3g}  {forget:7.1f}  {retain:5.1f}"
    )
    axes.plot(forget, retain, "o", markersize=9, fillstyle="full" if setting["best"] else "none", color="tab:blue")
    axes.annotate(number, (forget, retain), xytext=(8, 4), textcoords="offset points")
axes.set(xlabel="clip_score of the forgotten rabbits", ylabel="clip_score of the rest")
axes.margins(0.1)
axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
# Filled marks lie on the front: no other setting is as good in both and better in one. Which of them is right depends
# on what you may lose. Look how much of the rest the last bit of forgetting costs. Here is the setting that keeps most,
# on cats, which the search has not seen:

# %%
front = [setting for setting in settings if setting["best"]]
gentle = max(front, key=lambda setting: setting["values"][1])["options"]
print(gentle)
vu.evaluate(model, vu.unlearn("uce", model, forget="cat", **gentle), protocol="emoji-small@1")

# %% [markdown]
# ## On Stable Diffusion
#
# *Needs a hub, and a GPU to be done today.* UCE was published with two ways of choosing token states: see what each
# does here. `stable-diffusion-v1-5/stable-diffusion-v1-5` and SDXL take the same calls.

# %% tags=["needs-a-hub"]
MODEL = "CompVis/stable-diffusion-v1-4"
SETTINGS = {"steps": 30}

stable_diffusion = vu.load_model(MODEL, download=True)
paintings = ["a painting by Van Gogh", "a painting by Monet"]
for tokens in ("last", "aligned-tail"):
    van_gogh = vu.unlearn("uce", stable_diffusion, forget="style:Van Gogh", tokens=tokens)
    display(tokens, vu.sample(stable_diffusion, paintings, van_gogh, **SETTINGS))

# %% [markdown]
# A search needs a protocol. This one judges by CLIP alone (`hf download openai/clip-vit-base-patch32`), and the model
# is in the local cache of the hub by now.

# %% tags=["needs-a-hub"]
Path("painters.toml").write_text("""
name = "painters@1"
dataset = ""
templates = ["a painting by {style}", "a landscape by {style}"]
seeds = [0, 1, 2]
[grid]
style = ["Van Gogh", "Monet", "Picasso", "Rembrandt"]
[sampler]
steps = 30
guidance_scale = 7.5
[scorers]
clip = "clip-vit-base-patch32"
[metrics]
clip_score = {}
""")

# %% tags=["needs-a-hub"] language="bash"
# vu tune uce --model CompVis/stable-diffusion-v1-4 --protocol painters.toml --forget style:Picasso \
#   --search erase_scale=0.1:10:log --search tokens=last,aligned-tail \
#   --objective clip_score:forget --objective clip_score:retain --report "style:Van Gogh" --trials 20

# %% [markdown]
# George W. Bush becomes Tony Blair, stronger and weaker. The dataset `lfw` knows the other people, who are preserved.
# `FACES` is the folder of its photographs, a folder a person; no hub brings it.

# %% tags=["needs-a-hub"]
FACES = "path/to/lfw"

people = ["a portrait of George W Bush", "a portrait of Tony Blair", "a portrait of Laura Bush"]
for scale in (0.1, 1.0):
    blair = vu.unlearn(
        "uce",
        stable_diffusion,
        forget="George W Bush",
        replace_with="Tony Blair",
        dataset="lfw",
        data={"root": FACES},
        tokens="aligned-tail",
        preserve="dataset",
        erase_scale=scale,
    )
    display(scale, vu.sample(stable_diffusion, people, blair, **SETTINGS))
