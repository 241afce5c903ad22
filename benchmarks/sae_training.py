"""Training of a TopK dictionary (4,096 latents of 512 numbers, k 32): rows per second against SAELens 6.54.

Peer: `TopKTrainingSAE` in its default settings, with Adam and clipped gradients, as its trainer's step does them (its sparse
latents have no backward pass on a processor with torch 2.13). Both see the same rows in the same batches, in float32, on one
thread, for as many steps, in turns in one process. Processor time is compared, since it does not depend on what else the
machine does. SAELens is needed: an environment of its own with `pip install sae-lens==6.54.0` and this package.

RATIO sae_training: rows per second of ours over the peer's; must stay above 1.2.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from goalscope.methods.reading.dictionary import Recipe, train

WIDTH, K, SIZE, BATCH, STEPS, REPETITIONS = 4096, 32, 512, 4096, 3, 3


def ours(batches: list[Tensor]) -> None:
    """A whole training, with what it does before its first step."""
    train(batches, Recipe(width=WIDTH, k=K, steps=len(batches), batch=BATCH))


def theirs() -> Callable[[list[Tensor]], None]:
    """SAELens' steps on a dictionary of its own."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig  # pyright: ignore[reportMissingImports]
    from sae_lens.saes.sae import TrainStepInput  # pyright: ignore[reportMissingImports]

    config = TopKTrainingSAEConfig(d_in=SIZE, d_sae=WIDTH, k=K)

    def run(batches: list[Tensor]) -> None:
        made: Any = TopKTrainingSAE(config)
        adam = torch.optim.Adam(made.parameters(), lr=4e-4)
        for number, batch in enumerate(batches):
            given = TrainStepInput(
                sae_in=batch,
                coefficients={},
                dead_neuron_mask=None,
                n_training_steps=number,
                is_logging_step=False,
            )
            loss = made.training_forward_pass(given).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
            adam.step()
            adam.zero_grad()

    return run


def spent(run: Callable[[list[Tensor]], None], batches: list[Tensor]) -> float:
    """Seconds of processor time."""
    start = time.process_time()
    run(batches)
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    try:
        contenders = {"ours": ours, "SAELens": theirs()}
    except ImportError as error:
        sys.exit(
            f"SAELens is not installed ({error}): pip install sae-lens==6.54.0, in an environment of its own"
        )
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(BATCH, SIZE, generator=generator) for _ in range(STEPS)]
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repetition in range(REPETITIONS + 1):
        for name, run in contenders.items():
            seconds = spent(run, batches)
            if repetition:  # the first one warms up
                times[name].append(seconds)
    rate = {name: STEPS * BATCH / median(each) for name, each in times.items()}
    for name, rows in rate.items():
        print(f"{name:<18}{rows:10,.0f} rows a second of one processor")
    print(f"RATIO sae_training {rate['ours'] / rate['SAELens']:.2f}")


if __name__ == "__main__":
    main()
