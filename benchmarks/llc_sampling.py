"""Steps of stochastic gradient Langevin dynamics for a learning coefficient: four chains of a network of 6,000 parameters.

Peer, on the same data in the same process, with the same batch, chains, precision and threads: a plain loop over chains
and parameters (a forward and backward with `torch.autograd`, then the update of each parameter). A step is one step of
all chains. Bound: at least 1.5 times the steps a second. That both sample the same thing is checked by what they estimate.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from goalscope.methods.degeneracy.learning_coefficient import learning_coefficient

SAMPLES, CHAINS, BATCH, STEP, LOCALISATION = 2000, 4, 64, 1e-5, 100.0


def subject() -> tuple[nn.Module, Tensor, Tensor]:
    """A network of three layers, and data that it has learned: its own most probable answers."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5)
    ).eval()
    x = torch.randn(SAMPLES, 20)
    return module, x, module(x).detach().softmax(1)


def loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """[N] cross-entropy with the network's own answers, of which w* is the minimum."""
    return -(wanted * logits.log_softmax(1)).sum(1)


def ours(module: nn.Module, x: Tensor, wanted: Tensor, steps: int) -> float:
    """All chains in one vmapped forward."""
    found = learning_coefficient(
        module, loss, x, wanted, step=STEP, localisation=LOCALISATION, batch=BATCH, chains=CHAINS, steps=steps,
        burn_in=steps // 2,
    )  # fmt: skip
    return found.coefficient


def loop(module: nn.Module, x: Tensor, wanted: Tensor, steps: int) -> float:
    """Chain by chain, parameter by parameter."""
    strength = SAMPLES / math.log(SAMPLES)
    start = [p.detach().clone() for p in module.parameters()]
    with torch.no_grad():
        base = loss(module(x), wanted)
    drawn = []
    for chain in range(CHAINS):
        generator = torch.Generator().manual_seed(chain)
        with torch.no_grad():
            for p, was in zip(module.parameters(), start, strict=True):
                p.copy_(was)
        for t in range(steps):
            rows = torch.randint(SAMPLES, (BATCH,), generator=generator)
            value = loss(module(x[rows]), wanted[rows]).mean()
            gradients = torch.autograd.grad(value, list(module.parameters()))
            if t >= steps // 2:
                drawn.append(strength * float(value.detach() - base[rows].mean()))
            with torch.no_grad():
                for p, was, gradient in zip(module.parameters(), start, gradients, strict=True):
                    drift = strength * gradient + LOCALISATION * (p - was)
                    p.add_(-STEP / 2 * drift + STEP**0.5 * torch.randn(p.shape, generator=generator))
    with torch.no_grad():
        for p, was in zip(module.parameters(), start, strict=True):
            p.copy_(was)
    return statistics.fmean(drawn)


WAYS: dict[str, Callable[..., float]] = {"ours": ours, "loop": loop}


def main() -> None:
    """Prints a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    module, x, wanted = subject()
    ours(module, x, wanted, 16)  # what tracing imports is there, as torch is
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    made: dict[str, float] = {}
    for _ in range(options.repeats):
        for way, sample in WAYS.items():
            start = time.perf_counter()
            made[way] = sample(module, x, wanted, options.steps)
            seconds[way].append(time.perf_counter() - start)
    print(f"{CHAINS} chains of {options.steps} steps, batches of {BATCH}, {torch.get_num_threads()} threads")
    for way in WAYS:
        rate = options.steps / statistics.median(seconds[way])
        print(f"{way:6}{rate:10.0f} steps a second, estimate {made[way]:.2f}")
    if not abs(made["ours"] - made["loop"]) < 0.1 * abs(made["loop"]) + 0.5:
        raise SystemExit("the two ways do not sample the same thing")
    print(f"RATIO llc_sampling {statistics.median(seconds['loop']) / statistics.median(seconds['ours']):.3f}")


if __name__ == "__main__":
    main()
