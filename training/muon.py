"""Muon: momentum whose step is made orthogonal, for matrices and convolution kernels.

torch.optim.Muon takes matrices only and orthogonalises in bfloat16, which a CPU without bfloat16 units emulates at a
thirtieth of the speed; here it is done in whatever `precision.py` finds fast. With several processes each one
orthogonalises its share of the matrices.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist

from training.precision import MATRIX_DTYPE

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, scaled so that AdamW's learning rates and weight decay carry over."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            steps = self._orthogonal_steps(parameters, group["momentum"])
            for parameter, step in zip(parameters, steps, strict=True):
                parameter.mul_(1 - group["lr"] * group["decay"])
                parameter.add_(step, alpha=-group["lr"])

    def _orthogonal_steps(self, parameters: list[Tensor], momentum: float) -> list[Tensor]:
        ranks, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
        steps: list[Tensor] = []
        for number, parameter in enumerate(parameters):
            assert parameter.grad is not None
            average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
            average.lerp_(parameter.grad, 1 - momentum)
            if number % ranks == rank:
                steps.append(orthogonalise(parameter.grad.lerp(average, momentum)))
            else:
                steps.append(torch.zeros_like(parameter))
        if ranks == 1:
            return steps
        together = torch.cat([step.flatten() for step in steps])
        dist.all_reduce(together)
        parts = together.split([step.numel() for step in steps])
        return [part.view_as(step) for part, step in zip(parts, steps, strict=True)]


def orthogonalise(gradient: Tensor) -> Tensor:
    """The nearest matrix with singular values about 1 (Newton-Schulz), scaled to AdamW's usual step size."""
    x = gradient.flatten(1)
    rows, columns = x.shape
    if rows > columns:
        x = x.T
    x = (x / (x.norm() + 1e-7)).to(MATRIX_DTYPE)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    if rows > columns:
        x = x.T
    return (x.float() * 0.2 * max(rows, columns) ** 0.5).view_as(gradient)
