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
# # Bring your own images
#
# Some unlearners learn from pictures. They can be yours: a folder is a dataset.
#
# Yours would be photographs. Here the model draws a few, so that this notebook needs none: four each of cats, dogs and
# cars.

# %%
import json
from pathlib import Path

from IPython.display import display

import vu_core as vu

model = vu.load_model("emoji")
mine = Path("my-pictures")
concepts = ["cat", "dog", "car"]
drawn = vu.sample(model, [f"a {concept}" for concept in concepts], seeds=range(100, 104), out=mine)
drawn

# %% [markdown]
# ## Say what they show
#
# A line for each picture in `metadata.jsonl` does: its file, and columns of your choice. `text` is its caption. The
# column `object` makes the concepts, of the kind `object`.
#
# The shortest form has no such file: one folder for each concept, and the folders' names are the concepts. The README
# of `vu-datasets` has all forms, among them lists, `.parquet` files and what Hugging Face `datasets` saves.

# %%
lines = [
    {"file_name": f"{row:02d}-{seed}.png", "text": f"a picture of a {concept}", "object": concept}
    for row, concept in enumerate(concepts)
    for seed in drawn.seeds
]
(mine / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
print(*lines[:5], sep="\n")

# %% [markdown]
# ## Unlearn from them
#
# `dataset="images"` reads them. Nothing is set apart for validation or tests, as there are so few. FADE learns to
# answer the captions of your cats as those of your dogs, and keeps your cars.
#
# This is a hasty training on few pictures. The model's preset takes 200 smaller steps, and more pictures of what is to
# be kept protect more of it.

# %%
data = {"root": str(mine), "concepts": ["object"], "validation": 0, "test": 0, "membership": 0}
hasty = {"steps": 60, "learning_rate": 2e-3, "retain_batch_size": 4}
edit = vu.unlearn("fade", model, forget="cat", replace_with="dog", dataset="images", data=data, **hasty)
edit

# %%
prompts = ["a cat", "a dog", "a rabbit", "a car"]
display(vu.sample(model, prompts), vu.sample(model, prompts, edit))

# %% [markdown]
# ## Measure by your own protocol
#
# A protocol is a TOML file: which prompts, which noises, who judges, what is computed. This one asks for your concepts
# and one that the training never saw.

# %%
Path("mine.toml").write_text("""
name = "mine@1"
dataset = ""
templates = ["a {object}", "a photo of a {object}"]
seeds = [0, 1, 2]
seed_rule = "per-prompt"

[grid]
object = ["cat", "dog", "car", "rabbit"]

[sampler]
steps = 20
guidance_scale = 3.0
micro_batch = 8

[scorers]
object = "emoji-object"

[metrics]
ua = {}
replaced = {}
ira = {}
""")
result = vu.evaluate(model, edit, protocol="mine.toml")
result

# %%
for concept in ("dog", "car", "rabbit"):
    found = result["ira", concept]
    print(f"{concept:<8} still recognised: {found.before:.0f} % -> {found.after:.0f} %   n={found.n}")

# %% [markdown]
# ## On Stable Diffusion
#
# *Needs a hub, and a GPU to be done today.* The same with your photographs. `MINE` is a folder with one folder of
# pictures for each concept, such as `my_dog` and `other_dogs`.

# %% tags=["needs-a-hub"]
MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5"
MINE = "path/to/photographs"
FORGET, REPLACE_WITH = "my dog", "other dogs"
SETTINGS = {"steps": 30}
STEPS = 150

stable_diffusion = vu.load_model(MODEL, download=True)
edit = vu.unlearn(
    "fade",
    stable_diffusion,
    forget=FORGET,
    replace_with=REPLACE_WITH,
    dataset="images",
    data={"root": MINE},
    caption="a photo of {concept}",
    steps=STEPS,
)
shown = [f"a photo of {FORGET}", f"a photo of {REPLACE_WITH}"]
display(vu.sample(stable_diffusion, shown, **SETTINGS), vu.sample(stable_diffusion, shown, edit, **SETTINGS))

# %% [markdown]
# *Labeled Faces in the Wild* is such a folder, with a folder a person, and has a dataset of its own. George W. Bush
# becomes Tony Blair, all others are kept. No hub brings the photographs.

# %% tags=["needs-a-hub"]
FACES = "path/to/lfw"

blair = vu.unlearn(
    "fade",
    stable_diffusion,
    forget="George W Bush",
    replace_with="Tony Blair",
    dataset="lfw",
    data={"root": FACES},
    pictures_each=10,
    steps=STEPS,
)
people = ["a portrait of George W Bush", "a portrait of Tony Blair", "a portrait of Laura Bush"]
display(vu.sample(stable_diffusion, people, **SETTINGS), vu.sample(stable_diffusion, people, blair, **SETTINGS))
