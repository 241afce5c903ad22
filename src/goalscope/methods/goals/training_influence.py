"""Which training examples are behind a behaviour? Gradient tracing and a damped Gauss-Newton estimate of leaving each out.

A behaviour is a number of the network, such as the difference of two log-probabilities at a fork. *Tracing* adds up, over
snapshots of the training, how much a step on each example moved it (Pruthi et al. 2020, "Estimating Training Data Influence
by Tracing Gradient Descent"). *Leaving out* is one Newton step with the damped Gauss-Newton matrix of all examples but one
(Koh and Liang 2017, "Understanding Black-box Predictions via Influence Functions"; Martens 2020); for linear regression
it is exact. Similarity of representations is the simple baseline. Gradients of all examples are taken at once (vmap).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

LARGEST = 8000
"""parameters that a Gauss-Newton matrix is made of; beyond that it does not fit"""
Weights = Mapping[str, Tensor]
Behaviour = Callable[[Callable[[Tensor], Tensor]], Tensor]
"""of a network as a function of its input, one number"""


def _weights(module: nn.Module, given: Weights | None = None) -> dict[str, Tensor]:
    """The trainable parameters, those of a snapshot where one is given."""
    own = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    if given is None:
        return own
    wrong = [name for name, p in own.items() if name not in given or given[name].shape != p.shape]
    if wrong:
        raise ValueError(f"a snapshot is of another network: {wrong[0]!r} is not there in the same shape")
    return {name: given[name].to(p) for name, p in own.items()}


def _flat(slopes: Mapping[str, Tensor], lead: int) -> Tensor:
    return torch.cat([s.reshape(*s.shape[:lead], -1) for s in slopes.values()], lead)


def _check(x: Tensor, y: Tensor) -> None:
    if not len(x) or len(x) != len(y):
        raise ValueError(
            f"x and y must be [N, ...] of the same examples, got {list(x.shape)} and {list(y.shape)}"
        )


def sample_gradients(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, weights: Weights | None = None
) -> Tensor:  # fmt: skip
    """[N, P] gradient of the loss of each example, all at once.

    Args:
        module: without parts that mix examples (batch normalisation in training mode).
        loss: (outputs [1, ...], targets [1, ...]) -> one number.
        x: [N, ...] inputs. y: [N, ...] targets.
        weights: of a snapshot; None is the module's own.

    Raises:
        ValueError: no examples, or not as many targets; a snapshot of another network.
    """
    _check(x, y)

    def of_one(values: dict[str, Tensor], one: Tensor, wanted: Tensor) -> Tensor:
        return loss(functional_call(module, values, (one[None],)), wanted[None])

    return _flat(vmap(grad(of_one), (None, 0, 0))(_weights(module, weights), x, y), 1)


def behaviour_gradient(module: nn.Module, behaviour: Behaviour, weights: Weights | None = None) -> Tensor:
    """[P] gradient of a behaviour."""

    def of(values: dict[str, Tensor]) -> Tensor:
        return behaviour(lambda x: functional_call(module, values, (x,)))

    return _flat(grad(of)(_weights(module, weights)), 0)


def traced(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, behaviour: Behaviour,
    snapshots: Sequence[tuple[Weights, float]],
) -> np.ndarray:  # fmt: skip
    """How much training on each example raised the behaviour, by gradient tracing.

    Args:
        module, loss, x, y: as `sample_gradients`.
        behaviour: what is explained.
        snapshots: (weights, learning rate times steps that it stands for) along the training, at least one.

    Returns:
        [N]; positive where the example raised it.

    Raises:
        ValueError: no snapshot, or as `sample_gradients`.
    """
    if not snapshots:
        raise ValueError("tracing needs the weights at one moment of the training at least")
    total = torch.zeros(len(x), dtype=torch.float64)
    for weights, rate in snapshots:
        slope = behaviour_gradient(module, behaviour, weights).double()
        total -= rate * (sample_gradients(module, loss, x, y, weights).double() @ slope)
    return total.numpy()


def left_out(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, behaviour: Behaviour,
    damping: float = 1e-3,
) -> np.ndarray:  # fmt: skip
    """How much higher the behaviour is for each example's being there: one Gauss-Newton step without it, the sign turned.

    Exact where the outputs are linear in the weights, the loss is quadratic in the outputs, and the weights minimise the sum
    of the losses and damping / 2 times their square: then this is what training without the example would give.

    Args:
        module, loss, x, y: as `sample_gradients`; outputs [N, O] with few O.
        behaviour: what is explained.
        damping: added to the curvature, at least 0; of the sum of the losses.

    Returns:
        [N]; positive where the example raises it.

    Raises:
        ValueError: more parameters than `LARGEST`; damping below 0; as `sample_gradients`.
    """
    _check(x, y)
    weights = _weights(module)
    count = sum(p.numel() for p in weights.values())
    if count > LARGEST:
        raise ValueError(
            f"{count:,} parameters: a Gauss-Newton matrix is made of at most {LARGEST:,}; freeze some, or use `traced`"
        )
    if not damping >= 0:
        raise ValueError(f"damping must be at least 0, got {damping}")
    slopes = sample_gradients(module, loss, x, y).double()
    roots = _curvature_roots(module, loss, x, y, weights).double()
    matrix = torch.einsum("nop,noq->pq", roots, roots) + damping * torch.eye(count, dtype=torch.float64)
    factor = torch.linalg.cholesky(
        matrix + 1e-12 * matrix.diagonal().mean() * torch.eye(count, dtype=torch.float64)
    )
    wanted = torch.cholesky_solve(behaviour_gradient(module, behaviour).double()[:, None], factor)[:, 0]
    plain = slopes @ wanted
    # All but one: the matrix less the example's own part, by Woodbury.
    solved = torch.cholesky_solve(roots.reshape(-1, count).T, factor).T.reshape(roots.shape)
    own = torch.eye(roots.shape[1], dtype=torch.float64) - torch.einsum("nop,nqp->noq", roots, solved)
    right = torch.einsum("nop,np->no", solved, slopes)
    left = torch.einsum("nop,p->no", roots, wanted)
    more = (left * torch.linalg.solve(own, right[..., None])[..., 0]).sum(1)
    return -(plain + more).numpy()


def _curvature_roots(
    module: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    weights: dict[str, Tensor],
) -> Tensor:
    """[N, O, P] whose products are each example's Gauss-Newton matrix: root of the loss's curvature times the Jacobian."""

    def outputs(values: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(module, values, (one[None],))[0].reshape(-1)

    jacobian = _flat(vmap(jacrev(outputs), (None, 0))(weights, x), 2)
    with torch.no_grad():
        out = functional_call(module, weights, (x,)).reshape(len(x), -1)

    def of_output(one: Tensor, wanted: Tensor) -> Tensor:
        return loss(one[None], wanted[None])

    curvature = vmap(torch.func.hessian(of_output))(out, y)
    values, vectors = torch.linalg.eigh(curvature.double())
    root = vectors * values.clamp(min=0).sqrt()[:, None]
    return torch.einsum("noi,nop->nip", root, jacobian.double())


def similar(representation: Tensor, at: Tensor) -> np.ndarray:
    """The simple baseline: cosine of each example's representation [N, ...] with that of the fork [...]."""
    flat, wanted = representation.reshape(len(representation), -1), at.reshape(-1)
    return torch.nn.functional.cosine_similarity(flat, wanted[None].to(flat), 1).double().numpy()
