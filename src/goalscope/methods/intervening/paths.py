"""Path patching: what one site contributes to the metric through another site, and through nothing else.

Step one puts the sender's activation of the other input into the run and reads what the receiver then is; step two
puts that into the run at the receiver, while everything else is as it was. So the sender acts through the receiver only.
Sites held in step one stay what they were, which leaves out the routes through them (Wang et al. 2022,
"Interpretability in the wild", section 3.1; Goldowsky-Dill et al. 2023, "Localizing model behavior with path patching").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from goalscope.activations import capture, editing, replace
from goalscope.activations.inputs import Inputs
from goalscope.activations.metric import Metric, measured, paired
from goalscope.activations.recompute.from_site import recompute_from
from goalscope.showing import drawing, text


@dataclass(frozen=True)
class PathEffect:
    """What the sender does through the receiver.

    Attributes:
        sender, receiver: names of sites.
        held: sites that were held in step one.
        effect: [N] metric with the sender's contribution to the receiver exchanged, minus metric without, in the
            metric's units.
        total: [N] the same with the sender itself patched: all routes. Total minus effect is what went elsewhere,
            where routes do not interact.
        base: [N] metric of the run that is patched.
        source: [N] metric of the run that the sender's activation comes from.
        changed: [N] bool, whether any number at the receiver changed.
        n: number of samples.
    """

    __repr__, _repr_html_ = text, drawing

    sender: str
    receiver: str
    held: tuple[str, ...]
    effect: np.ndarray
    total: np.ndarray
    base: np.ndarray
    source: np.ndarray
    changed: np.ndarray
    n: int


def path_effect(
    module: nn.Module,
    clean: Inputs,
    corrupt: Inputs,
    sender: str,
    receiver: str,
    metric: Metric,
    *,
    held: Sequence[str] = (),
) -> PathEffect:
    """The effect of the sender's activation on the corrupt input, put into the clean run, through the receiver alone.

    Args:
        module: any module.
        clean: N samples, the run that is patched: a tensor or a tuple of arguments. Swap it with `corrupt` to denoise.
        corrupt: N samples of the same shape.
        sender: site whose activation is exchanged.
        receiver: site, after the sender, through which it may act; `NAME:in` for what goes into one module of several
            that read the same tensor.
        metric: the module's output for N samples -> [N].
        held: sites between the two that keep their clean activations, so that routes through them do not count.

    Raises:
        ValueError: an unknown site, clean and corrupt of other shapes, a sender that is the same on both inputs, a
            receiver that does not change (there is no route, or it is held shut), a metric that is NaN or not [N].
    """
    one, other = paired(clean, corrupt, module)
    if receiver == sender or {sender, receiver} & set(held):
        raise ValueError(
            f"sender {sender!r}, receiver {receiver!r} and held {list(held)} must be different sites"
        )
    with torch.no_grad():
        before = capture(module, one, [sender, receiver, *held])
        sent = capture(module, other, [sender])[sender]
        if torch.equal(sent, before[sender]):
            raise ValueError(
                f"patching {sender!r} touches nothing: it is the same in both runs for all samples"
            )
        edits = {sender: replace(sent)} | {site: replace(before[site]) for site in held}
        with editing(module, edits):
            received = capture(module, one, [receiver])[receiver]
        changed = (received != before[receiver]).flatten(1).any(1)
        if not changed.any():
            raise ValueError(
                f"no route from {sender!r} to {receiver!r}"
                f"{' past ' + ', '.join(held) if held else ''}: the receiver does not change for any sample"
            )
        rest = recompute_from(module, receiver, one)
        count = len(changed)
        base = measured(metric, rest.output, count, "the run without a patch")
        after = measured(metric, rest(received), count, f"the path {sender!r} to {receiver!r}")
        with editing(module, {sender: replace(sent)}):
            total = measured(metric, module(*one), count, f"site {sender!r}")
        source = measured(metric, module(*other), count, "the corrupt run")
    return PathEffect(
        sender, receiver, tuple(held), after - base, total - base, base, source, changed.numpy(), count
    )
