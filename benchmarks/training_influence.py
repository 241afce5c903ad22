"""Gradients of 512 training examples, all at once, against one after the other.

The network is of the size that the packaged mice have for their moves; both give the same numbers, which is checked.

RATIO training_influence: seconds of the loop over seconds at once, should be at least 4.
"""

from __future__ import annotations

import time
from statistics import median

import torch
from torch import nn

from goalscope.methods.goals.training_influence import sample_gradients

EXAMPLES, REPETITIONS = 512, 5


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(147, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5))
    x, y = torch.randn(EXAMPLES, 147), torch.arange(EXAMPLES) % 5

    def loss(out: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(out, wanted, reduction="sum")

    def one_by_one() -> torch.Tensor:
        rows = []
        for i in range(EXAMPLES):
            slopes = torch.autograd.grad(loss(module(x[i : i + 1]), y[i : i + 1]), list(module.parameters()))
            rows.append(torch.cat([s.flatten() for s in slopes]))
        return torch.stack(rows)

    torch.testing.assert_close(sample_gradients(module, loss, x, y), one_by_one())
    seconds = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        sample_gradients(module, loss, x, y)
        between = time.perf_counter()
        one_by_one()
        seconds.append((between - began, time.perf_counter() - between))
    mine, theirs = (median(side) for side in zip(*seconds, strict=True))
    print(f"gradients of {EXAMPLES} examples, {sum(p.numel() for p in module.parameters()):,} parameters;")
    print(f"median of {REPETITIONS} interleaved, one thread")
    print(f"{'':>12} {'seconds':>10}")
    print(f"{'at once':>12} {mine:>10.4f}")
    print(f"{'one by one':>12} {theirs:>10.4f}")
    print(f"RATIO training_influence {theirs / mine:.1f}")


if __name__ == "__main__":
    main()
