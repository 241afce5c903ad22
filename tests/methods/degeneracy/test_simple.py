"""Simple measures on a module whose Hessian is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goalscope.methods.degeneracy.simple import simple_measures


def test_the_trace_of_a_linear_regression_is_that_of_its_inputs():
    torch.manual_seed(0)
    module = nn.Linear(5, 2, bias=False).double()
    x = torch.randn(300, 5, dtype=torch.float64)
    found = simple_measures(module, lambda y: y.square().sum(1) / 2, x, probes=100)
    assert abs(found.trace - float(2 * x.square().sum(1).mean())) < 4 * found.trace_error
    assert found.trace_error < 0.05 * found.trace
    assert found.parameters == 10 and found.norm == pytest.approx(float(module.weight.norm()))


def test_the_rank_is_that_of_orthogonal_rows_and_of_one_row():
    module = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.eye(3, 4))
    x = torch.randn(10, 4)
    assert simple_measures(module, lambda y: y.sum(1), x, probes=2).rank == pytest.approx(3.0)
    with torch.no_grad():
        module.weight.copy_(torch.ones(3, 4))
    assert simple_measures(module, lambda y: y.sum(1), x, probes=2).rank == pytest.approx(1.0)
    assert simple_measures(module, lambda y: y.sum(1), x, probes=2).trace == 0.0


def test_what_has_no_parameters_is_refused():
    with pytest.raises(ValueError, match="with parameters"):
        simple_measures(nn.ReLU(), lambda y: y.sum(1), torch.ones(3, 2))
