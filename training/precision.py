"""Arithmetic in bfloat16 where the processor has matrix units for it (AMX): twice the speed, weights stay float32.

Everywhere else bfloat16 is emulated and ten times slower, so training stays in float32.
"""

from __future__ import annotations

import torch

HAS_FAST_HALF = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
MATRIX_DTYPE = torch.bfloat16 if HAS_FAST_HALF else torch.float32
"""For products of matrices whose result needs no more than two digits, such as Muon's orthogonalisation."""


def fast_arithmetic() -> torch.autocast:
    """A context in which matrix products and convolutions run in bfloat16 if that is fast on this machine."""
    return torch.autocast("cpu", torch.bfloat16, enabled=HAS_FAST_HALF)
