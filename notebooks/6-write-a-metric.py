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
# # Write a metric
#
# One of the styles that the embedded model draws is `mono`: black and white. A model that forgets it should draw in
# colour. None of the metrics here says whether it does. You will write one that does, first as a function, then as a
# plugin.

# %%
from IPython.display import display

import vu_core as vu

model = vu.load_model("emoji")
edit = vu.unlearn("uce", model, forget="mono")
prompts = [f"a {thing} in mono style" for thing in ("cat", "car", "tulip", "pizza")]
before, after = vu.sample(model, prompts), vu.sample(model, prompts, edit)
display(before, after)

# %% [markdown]
# ## A function
#
# Hasler and Süsstrunk (2003, doi:10.1117/12.477378) describe how colourful a picture is by its opponent colours $rg = R
# - G$ and $yb = (R + G) / 2 - B$:
#
# $$ \sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3 \sqrt{\mu_{rg}^2 + \mu_{yb}^2} $$

# %%
import torch


def colourfulness(images: torch.Tensor) -> torch.Tensor:
    """Return how colourful pictures uint8 (N, 3, H, W) are: 0 is grey, 100 is very."""
    red, green, blue = images.cpu().double().flatten(2).unbind(dim=1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    spread = opponents.std(dim=2, correction=0).square().sum(dim=0).sqrt()
    return spread + 0.3 * opponents.mean(dim=2).square().sum(dim=0).sqrt()


for name, pictures in {"before": before, "after": after}.items():
    values = colourfulness(pictures.images.flatten(0, 1))
    print(f"{name:<7} {values.mean():5.1f}   n={len(values)}")

# %% [markdown]
# A first test is one whose answer is known. Grey has no colour at all. Half red, half green has $rg = \pm 255$ around a
# mean of 0, and $yb = 127.5$ everywhere.

# %%
grey = torch.full((1, 3, 8, 8), 90, dtype=torch.uint8)
halves = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
halves[:, 0, :, :4] = halves[:, 1, :, 4:] = 255
assert colourfulness(grey).item() == 0
assert abs(colourfulness(halves).item() - (255 + 0.3 * 127.5)) < 1e-9

# %% [markdown]
# ## A plugin
#
# As a metric it is measured before and after, for what is forgotten and for what is kept, with intervals, on the
# command line and in reports. `vu new` writes a plugin that works, with tests, into a new folder: remove that to run
# this notebook again. What it measures is contrast: only its work is to be replaced.

# %% language="bash"
# vu new metric colourfulness

# %% [markdown]
# In an editor this is a minute's work. `metric.py` gets the function, and calls it where it computed contrast.
# `plugin.py` says what it is. Its `range` is checked: a value outside it is an error.

# %%
import inspect
from pathlib import Path

package = Path("vu-colourfulness/src/vu_colourfulness")


def change(file, changes):
    """Replace texts in a file, each of which is there once."""
    text = (package / file).read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (package / file).write_text(text)


change(
    "metric.py",
    {
        "The contrast of pictures": "The colourfulness of pictures",
        "LUMA = torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64)\n": "\n" + inspect.getsource(colourfulness),
        "Standard deviation of a picture's luma (Rec. 709, in [0, 1]), in percent; the mean": "Colourfulness; the mean",
        '        luma = torch.einsum("c,nchw->nhw", LUMA, batch.images.cpu().double() / 255)\n': "",
        "(100 * luma.flatten(1).std(dim=1, correction=0)).tolist()": "colourfulness(batch.images).tolist()",
    },
)
change(
    "plugin.py",
    {
        "Mean RMS contrast of the pictures: near 0 where a model draws blanks instead of forgetting.": (
            "Mean colourfulness of the pictures: 0 is grey, 100 is very colourful."
        ),
        "doi:10.1364/JOSAA.7.002032": "doi:10.1117/12.477378",
        'unit="%"': 'unit=""',
        "range=(0.0, 50.0)": "range=(0.0, 500.0)",
    },
)
print((package / "metric.py").read_text())

# %% [markdown]
# ## Install and use it
#
# In a terminal, `pip install -e vu-colourfulness` is all. `vu check vu-colourfulness` then says whether it keeps the
# contract. Here it goes into a folder of its own, and leaves your environment as it is.

# %% language="bash"
# pip install --quiet --no-deps --target installed ./vu-colourfulness

# %%
import sys

sys.path.append("installed")
vu.evaluate(model, edit, protocol="emoji-small@1", metrics=["ua", "ira", "cra", "colourfulness"])

# %% [markdown]
# What was forgotten has colour now. What was kept has as much as before: the interval of its change says so, or how
# much may have been lost.
#
# ## On Stable Diffusion
#
# *Needs a hub.* A function on pictures asks for no protocol and no judge.

# %% tags=["needs-a-hub"]
MODEL = "CompVis/stable-diffusion-v1-4"
SETTINGS = {"steps": 30}

stable_diffusion = vu.load_model(MODEL, download=True)
engraving = vu.unlearn("uce", stable_diffusion, forget="style:engraving", tokens="aligned-tail")
for edits in ((), (engraving,)):
    pictures = vu.sample(stable_diffusion, "an engraving of a castle", edits, **SETTINGS)
    display(pictures, colourfulness(pictures.images.flatten(0, 1)).mean().item())

# %% [markdown]
# A person is no matter of colour. If Tony Blair's pictures are as colourful as George W. Bush's, colour is not what
# tells them apart. The dataset `lfw` knows the people; `FACES` is the folder of its photographs, which no hub brings.

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
for edits in ((), (blair,)):
    pictures = vu.sample(stable_diffusion, "a portrait of George W Bush", edits, **SETTINGS)
    display(pictures, colourfulness(pictures.images.flatten(0, 1)).mean().item())
