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
# # Read a report
#
# A report is one HTML file: send it, keep it, open it from a disk. You will make one, read it from the verdict down to
# single pictures, set two edits side by side, and find every number again in files that a program reads.
#
# Two edits are measured: one that forgets cats, and the same at half its strength. `out` keeps everything.

# %%
import vu_core as vu

model = vu.load_model("emoji")
edit = vu.unlearn("uce", model, forget="cat")
for name, measured in {"full": edit, "weak": edit.scaled(0.5)}.items():
    vu.evaluate(model, measured, protocol="emoji-small@1", out=f"runs/{name}")

# %% [markdown]
# ## The page
#
# `vu run` writes it by itself, where `vu-report` is installed. For what was measured from Python a command does.

# %% language="bash"
# vu report runs/full
# vu compare runs/full runs/weak --out compare.html

# %%
from IPython.display import IFrame

IFrame("runs/full/report.html", width="100%", height=640)

# %% [markdown]
# ## From top to bottom
#
# 1. **The verdict** is one sentence, and its words have a meaning. *Forgot* means that at least 90 % of the pictures
#    are judged to be something else, beyond noise. *Too little was measured* means what it says.
# 2. **Numbers**: on the line from 0 to 100 % the ring is before, the dot after, and the bar its 95 % interval. A change
#    is *within noise* when its interval holds 0. That is no proof that nothing changed.
# 3. **Pictures**: the same prompt and noise before and after, and what the judges saw. Press one to compare and zoom.
# 4. **Every concept** shows who suffered. Of many concepts, some change by chance.
# 5. **Time and memory**, **use it**, **provenance**.
#
# The verdict, and the sentences below it:

# %%
import html
import re
from pathlib import Path

page = Path("runs/full/report.html").read_text()
for sentence in re.findall(r"<h1>(.*?)</h1>|<p class=\"detail\">(.*?)</p>", page):
    print("-", html.unescape("".join(sentence)))

# %% [markdown]
# ## Two edits side by side
#
# `vu compare` printed a table above and wrote a page, too. It names everything besides the edit that differs between
# runs, as numbers may differ for it. On its plot of forgetting and keeping, better is up and right, and filled marks
# lie on the front.

# %%
IFrame("compare.html", width="100%", height=480)

# %% [markdown]
# ## The same for a program
#
# `record.json` holds all numbers, and what it takes to trust and repeat them.

# %%
import json

record = json.loads(Path("runs/full/record.json").read_text())
print(*record, sep=", ")
for stage in record["stages"]:
    print(f"{stage['name']:<15} {stage['seconds']:6.1f} s   {stage['detail']}")
print({name: record["environment"]["versions"][name] for name in ("vu-core", "torch", "diffusers")})

# %% [markdown]
# `verdicts.jsonl` says what the judges saw in every picture. Here is what the weak edit made of the cats, and
# everything else in which the judge saw another object than before:

# %%
rows = [json.loads(line) for line in Path("runs/weak/verdicts.jsonl").read_text().splitlines()]
changed = [row for row in rows if row["before"]["object"] != row["after"]["object"]]
shown = [row for row in rows if row["attributes"]["object"] == "cat" or row in changed]
for row in shown:
    print(f"{row['prompt']:<34} {row['before']['object']:>8} -> {row['after']['object']}")

# %% [markdown]
# Numbers are means over pictures. Look at some: above before, below after.

# %%
from PIL import Image

sheet = Image.new("RGB", (68 * len(shown), 132), "white")
for column, row in enumerate(shown):
    for line, side in enumerate(("before", "after")):
        sheet.paste(Image.open(f"runs/weak/images/{side}/{row['sample']}.png"), (68 * column, 68 * line))
sheet

# %% [markdown]
# ## On Stable Diffusion
#
# *Needs a hub, and a GPU to be done today.* `vu run` unlearns, draws, measures and writes the report. A protocol of
# your own says what is drawn and who judges; CLIP judges here (`hf download openai/clip-vit-base-patch32`).

# %% tags=["needs-a-hub"]
Path("painters.toml").write_text("""
name = "painters@1"
dataset = ""
templates = ["a painting by {style}", "a landscape by {style}"]
seeds = [0, 1, 2, 3, 4]
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
# vu run uce --model CompVis/stable-diffusion-v1-4 --download --forget "style:Van Gogh" \
#   --protocol painters.toml -o tokens=aligned-tail

# %% [markdown]
# George W. Bush becomes Tony Blair, and the judge `lfw-faces` says who is seen. It needs the photographs of *Labeled
# Faces in the Wild*, which no hub brings, and `pip install "vu-datasets[faces]"`. The tutorial *Replace a person* walks
# through it.

# %% tags=["needs-a-hub"]
Path("people.toml").write_text("""
name = "people@1"
dataset = "lfw"
templates = ["a portrait of {person}", "{person} giving a speech"]
seeds = [0, 1, 2, 3, 4]
[grid]
person = ["George W Bush", "Tony Blair", "Laura Bush"]
[sampler]
steps = 30
guidance_scale = 7.5
[scorers]
person = "lfw-faces"
[metrics]
ua = {}
replaced = {}
unrecognised = {}
ira = {}
""")

# %% tags=["needs-a-hub"] language="bash"
# vu run fade --model CompVis/stable-diffusion-v1-4 --dataset lfw --data root=path/to/lfw --forget "George W Bush" \
#   --replace-with "Tony Blair" --protocol people.toml -o pictures_each=10 -o steps=150
