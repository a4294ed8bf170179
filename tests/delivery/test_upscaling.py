"""From the size a model makes to the size that was asked for."""

import pytest

from heliograph.delivery.upscaling import UpscaleMethod, UpscalePlan, plan_upscale

NETWORK, LANCZOS = UpscaleMethod.NETWORK, UpscaleMethod.LANCZOS


@pytest.mark.parametrize(
    ("factor", "network_factor", "expected"),
    [
        (1, 2, None),
        (1, None, None),
        (2, 2, (NETWORK, 1, 320, 192)),
        (4, 2, (NETWORK, 2, 640, 384)),
        (4, 4, (NETWORK, 1, 640, 384)),
        (2, 4, (LANCZOS, 0, 320, 192)),
        (4, 3, (LANCZOS, 0, 640, 384)),
        (3, 2, (LANCZOS, 0, 480, 288)),
        (2, 1, (LANCZOS, 0, 320, 192)),
        (2, None, (LANCZOS, 0, 320, 192)),
        (4, None, (LANCZOS, 0, 640, 384)),
    ],
)
def test_the_plan(
    factor: int, network_factor: int | None, expected: tuple[UpscaleMethod, int, int, int] | None
) -> None:
    plan = plan_upscale(made_width_px=160, made_height_px=96, factor=factor, network_factor=network_factor)
    if expected is None:
        assert plan is None
        return
    method, passes, width_px, height_px = expected
    assert plan == UpscalePlan(method=method, passes=passes, width_px=width_px, height_px=height_px)
