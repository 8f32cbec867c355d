"""Directional ablation, applied to where text enters a text-to-image model; imported when it runs."""

from typing import Any

import torch
from vu_core import Data, Edit, Request, RunContext
from vu_core.edits import tensor_sha256

from vu_example.config import Config


class AblateUnlearner:
    """Projects the forgotten concepts' directions out of the value matrices: W' = W - s W D^+ D."""

    def unlearn(self, model: Any, request: Request, data: Data, config: Config, ctx: RunContext) -> Edit:
        """Return the edit that removes, from every value layer, what the concepts' texts add to the empty prompt.

        A row of D (concepts, width) is the mean token state of a concept's text minus that of the empty prompt;
        D^+ is its pseudo-inverse, s the strength. Replacements and retained concepts are not looked at.
        """
        encoding = model.encode(["", *(concept.text for concept in request.forget)])
        means = {stream: states[:, encoding.first[stream] :].mean(dim=1) for stream, states in encoding.states.items()}
        factors, read = {}, dict(model.encoders())
        for site in ctx.progress([site for site in model.sites() if site.role == "value"], label="ablating"):
            name, weight = f"{site.component}.{site.parameter}", model.tensor(site.component, site.parameter)
            directions = means[site.stream][1:] - means[site.stream][0]
            factors[name] = directions, -config.strength * weight.float() @ torch.linalg.pinv(directions)
            read[name] = tensor_sha256(weight)
        return Edit.lora(factors, base=read)
