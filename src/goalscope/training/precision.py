"""In which numbers convolutions are trained: bfloat16 is quick where the processor has it, 12 times slower where not."""

from __future__ import annotations

import torch

PRECISIONS = ("float32", "bfloat16")


def chosen_precision(asked: str | None, device: str = "cpu") -> str:
    """The precision that is asked for; where none is, the one that is quick on this machine.

    Args:
        asked: one of `PRECISIONS`; None leaves it to the machine: bfloat16 on a processor with instructions for it
            (AVX-512 BF16, AMX) or a GPU that has them, else float32. Runs of the two differ in their last digits, so
            model cards name the precision in their command.
        device: where to train, as 'cpu' or 'cuda:0'.

    Returns:
        One of `PRECISIONS`.

    Raises:
        ValueError: another name.
    """
    if asked is None:
        return "bfloat16" if _has_bfloat16(device.split(":")[0]) else "float32"
    if asked not in PRECISIONS:
        raise ValueError(f"--precision must be {' or '.join(PRECISIONS)}, got {asked!r}")
    return asked


def _has_bfloat16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
