"""PyTorch's settings that change a number: set aside while vu computes, or named where they are the user's choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_AUTOCAST = ("cpu", "cuda", "mps")


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Compute as in a fresh process, whatever the caller has set; all is as before at the end.

    Set aside are the default device and type, autocast, inference mode, and switched off gradients. Neither open it
    around a ``yield`` nor keep it open while the caller's code runs: the settings hold for the whole thread or process.

    Example:
        >>> import torch
        >>> with torch.autocast("cpu"), torch_defaults():
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.float32
    """
    import torch

    with ExitStack() as stack:
        # It switches gradients on: they come after it.
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in filter(torch.is_autocast_enabled, _AUTOCAST):
            stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        yield


def float32_precision(device: str) -> dict[str, str]:
    """Return how ``device`` multiplies float32, by kind of operation: ``"ieee"``, ``"tf32"`` or ``"bf16"``.

    Args:
        device: ``"cpu"`` or ``"cuda"``; another has no such setting and gives nothing.

    Example:
        >>> float32_precision("cpu")
        {'convolutions': 'ieee', 'matmuls': 'ieee'}
    """
    import torch

    if device not in ("cpu", "cuda"):
        return {}
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):
        cuda, cpu = (backends.cudnn.conv, backends.cuda.matmul), (backends.mkldnn.conv, backends.mkldnn.matmul)
        convolutions, matmuls = cuda if device == "cuda" else cpu
        found = {"convolutions": convolutions.fp32_precision, "matmuls": matmuls.fp32_precision}
        return {kind: "ieee" if precision == "none" else precision for kind, precision in found.items()}
    # Before PyTorch 2.9.
    if device == "cuda":
        allowed = {"convolutions": backends.cudnn.allow_tf32, "matmuls": backends.cuda.matmul.allow_tf32}
        return {kind: "tf32" if tf32 else "ieee" for kind, tf32 in allowed.items()}
    return {"convolutions": "ieee", "matmuls": "bf16" if torch.get_float32_matmul_precision() == "medium" else "ieee"}
