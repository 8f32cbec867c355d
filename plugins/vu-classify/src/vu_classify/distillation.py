"""Divergences between a student's answers and its teachers'."""

from __future__ import annotations

import torch
from torch.nn.functional import kl_div, log_softmax, softmax


def divergence(teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over images, in nats.

    Args:
        teacher: Logits (N, C).
        student: Logits (N, C).
        temperature: T.

    Example:
        >>> round(divergence(torch.tensor([[3.0, 1.0]]).log(), torch.zeros(1, 2), 1.0).item(), 4)
        0.1308
    """
    target, answer = log_softmax(teacher / temperature, 1), log_softmax(student / temperature, 1)
    return kl_div(answer, target, reduction="batchmean", log_target=True)


def mixed_divergence(
    forgotten: torch.Tensor, bad: torch.Tensor, good: torch.Tensor, student: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return KL(u softmax(bad / T) + (1 − u) softmax(good / T) ‖ softmax(student / T)), the mean over images, in nats.

    Args:
        forgotten: u, (N,): 1 for images to forget, 0 for others.
        bad: Logits (N, C) of the teacher of what is forgotten.
        good: Logits (N, C) of the teacher of what is retained.
        student: Logits (N, C).
        temperature: T.
    """
    u = forgotten[:, None].to(student.dtype)
    target = u * softmax(bad / temperature, 1) + (1 - u) * softmax(good / temperature, 1)
    return kl_div(log_softmax(student / temperature, 1), target, reduction="batchmean")
