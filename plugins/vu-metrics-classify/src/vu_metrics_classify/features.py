"""What attacks read in a classifier's answers: one number a picture, from its logits, in float64.

Logits z are float (n, C), labels y int64 (n,), p is the softmax of z; results are float64 (n,).
"""

from __future__ import annotations

import torch
from torch.nn.functional import one_hot


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the softmax of ``logits``: float64 (n, C)."""
    return logits.double().softmax(dim=1)


def correctness(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return 1 where the largest logit (the first of equals) is the label's, else 0."""
    return (logits.argmax(dim=1) == labels).double()


def confidence(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return p_y, the probability of the label."""
    return (-loss(logits, labels)).exp()


def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy -ln p_y, in nats."""
    return -_at(logits.double().log_softmax(dim=1), labels)


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return -sum_i p_i ln p_i, in nats."""
    logs = logits.double().log_softmax(dim=1)
    return -(logs.exp() * logs).sum(dim=1)


def modified_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return -(1 - p_y) ln p_y - sum over i != y of p_i ln(1 - p_i), in nats (Song and Mittal 2021, equation 9)."""
    logs = logits.double().log_softmax(dim=1)
    p, rest = logs.exp(), _log_rest(logs)
    others = torch.where(_is_label(logits, labels), 0.0, p * rest).sum(dim=1)
    return -_at(rest, labels).exp() * _at(logs, labels) - others


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return z_y - ln sum over c != y of exp z_c, which is ln p_y - ln(1 - p_y): the logit-scaled confidence."""
    logits = logits.double()
    others = logits.masked_fill(_is_label(logits, labels), -torch.inf)
    return _at(logits, labels) - others.logsumexp(dim=1)


def _log_rest(logs: torch.Tensor) -> torch.Tensor:
    """Return ln(1 - p_i) of log-probabilities (n, C), also where p_i rounds to 1."""
    rest = torch.log1p(-logs.exp())
    top = logs.argmax(dim=1)
    others = logs.masked_fill(_is_label(logs, top), -torch.inf).logsumexp(dim=1)
    # Only the most probable class can be so near to 1 that subtracting it loses digits.
    return rest.scatter(1, top[:, None], others[:, None])


def _is_label(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return one_hot(labels, logits.shape[1]).bool()


def _at(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return values.gather(1, labels[:, None])[:, 0]
