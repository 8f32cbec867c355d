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
# # Forget a class of a classifier
#
# A classifier of handwritten digits forgets the digit 3. What is good here is not 100 % of anything: good is what a
# model does that was trained again and never saw a 3. The plugin `vu-digits` carries 20 of these beside the model, its
# 1,797 pictures and their splits.

# %%
import vu_core as vu

model = vu.load_model("digits")
model.classes

# %% [markdown]
# ## Unlearn, twice
#
# *SSD* dampens the weights that matter for the threes and little for the rest, in one pass. *SalUn* trains the weights
# that are most salient for the threes on random labels.

# %%
edits = {name: vu.unlearn(name, model, forget="3") for name in ("ssd", "salun")}
edits

# %% [markdown]
# ## Measure
#
# `retrained` is the mean of the models that never saw a 3, `gap` the distance from them, `noise` how far one of them
# lies from the others. No method can be told from retraining where the gap is below that noise: such rows have a `~`.

# %%
metrics = ["unlearning_accuracy", "retain_accuracy", "test_accuracy", "mia_svc", "agreement"]
results = {
    name: vu.evaluate(model, edit, metrics=metrics, out=f"runs/{name}-3", progress=False)
    for name, edit in edits.items()
}
results["ssd"]

# %%
results["salun"]

# %% [markdown]
# `unlearning_accuracy` is the error on the training pictures of a 3. Both methods reach what retraining reaches, and an
# attack that asks whether a picture was learned (`mia_svc`) finds none of the threes. What they cost differs: see the
# rows of `retain`. `agreement` is the strictest: how often edited and retrained models say the same of a picture.
#
# ## What a 3 is taken for now
#
# The folder of an evaluation keeps the logits of every model for every picture, and `verdicts.jsonl` says which picture
# is which.

# %%
import json
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
from safetensors.numpy import load_file

run = Path("runs/ssd-3")
rows = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
threes = [place for place, row in enumerate(rows) if row["split"] == "test" and row["attributes"]["class"] == "3"]


def taken_for(answers):
    """Return the share of the test threes that these models take for each class."""
    said = [load_file(file)["logits"][threes].argmax(axis=1) for file in answers]
    counts = Counter(model.classes[label] for labels in said for label in labels)
    return [counts[name] / counts.total() for name in model.classes]


shares = {
    "as it was": taken_for([run / "answers/before.safetensors"]),
    "ssd": taken_for([run / "answers/after.safetensors"]),
    "salun": taken_for(["runs/salun-3/answers/after.safetensors"]),
    "retrained": taken_for(sorted(run.glob("answers/retrained-*.safetensors"))),
}
figure, axes = plt.subplots(figsize=(6, 2.4))
axes.imshow(list(shares.values()), cmap="Blues", vmin=0, vmax=1, aspect="auto")
axes.set_xticks(range(len(model.classes)), model.classes)
axes.set_yticks(range(len(shares)), shares)
for row, values in enumerate(shares.values()):
    for column, share in enumerate(values):
        if share >= 0.005:
            axes.text(column, row, f"{share:.0%}", ha="center", va="center", color="white" if share > 0.5 else "black")
axes.set(title=f"what {len(threes)} pictures of a 3 are taken for")
plt.show()

# %% [markdown]
# Every method says that the 3 is gone. Where its pictures go tells them apart.
#
# ## On other classifiers and pictures
#
# *Needs a hub, and files that it has.* A folder that transformers wrote with `save_pretrained` is a classifier as it
# is. Its classes must be those of the dataset: here one that tells the classes of CIFAR-10 apart, from `hf download
# ORGANISATION/NAME --local-dir cifar10-classifier`. `CIFAR10` is the folder of the dataset's binary version.

# %% tags=["needs-a-hub"]
CLASSIFIER = "cifar10-classifier"
CIFAR10 = "path/to/cifar10"

classifier = vu.load_model(CLASSIFIER)
pictures = {"dataset": "cifar10", "data": {"root": CIFAR10}}
cat = vu.unlearn("ssd", classifier, forget="cat", **pictures)
vu.evaluate(
    classifier, cat, protocol="classification-class@1", metrics=["unlearning_accuracy", "test_accuracy"], **pictures
)

# %% [markdown]
# Or train one by the published recipe, and others without cats to hold the unlearned one against. This takes hours, and
# a GPU.

# %% tags=["needs-a-hub"] language="bash"
# vu train classifier --dataset cifar10 --data root=path/to/cifar10 -o architecture=resnet18 --out cifar-resnet18
# vu bench classification-class@1 --unlearner retrain --forget cat --seeds 0,1,2 --model cifar-resnet18 \
#   --dataset cifar10 --data root=path/to/cifar10 --out retrained
# vu run ssd --forget cat --model cifar-resnet18 --dataset cifar10 --data root=path/to/cifar10 \
#   --protocol classification-class@1 --retrained retrained
