from itertools import pairwise

import numpy as np
import pytest

from heliograph.inference import sampler

SHAPE = (8, 4, 6)


def test_noise_depends_on_its_own_seed_alone() -> None:
    together = sampler.noise([5, 6, 5], SHAPE)
    assert together.shape == (3, *SHAPE)
    assert together.dtype == np.float32
    assert np.array_equal(together[0], together[2])
    assert not np.array_equal(together[0], together[1])
    assert np.array_equal(together[1], sampler.noise([6], SHAPE)[0])


def test_noise_is_the_same_for_ever() -> None:
    """A seed must give the same picture in ten years; these are the first values of numpy's Philox stream."""
    expected = [-0.24822916, -0.026767015, -1.9444163]
    np.testing.assert_allclose(sampler.noise([0], (1, 1, 3))[0, 0, 0], expected, rtol=1e-6)


def test_noise_is_standard_normal() -> None:
    values = sampler.noise([2**32 - 1], (8, 64, 64))
    assert abs(float(values.mean())) < 0.02
    assert float(values.std()) == pytest.approx(1, abs=0.02)


def test_times_run_evenly_from_one_to_zero() -> None:
    np.testing.assert_allclose(sampler.times(4), [1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_a_straight_flow_is_solved_exactly_in_any_number_of_steps(steps: int) -> None:
    """With one true picture the velocity is (x_t - x_0) / t everywhere, and Euler steps have no error."""
    clean = sampler.noise([1], SHAPE) * np.float32(0.5)
    latents = sampler.noise([2], SHAPE)
    t = sampler.times(steps)
    for now, later in pairwise(t):
        velocity = (latents - clean) / now
        np.testing.assert_allclose(sampler.predicted_clean(latents, velocity, now), clean, atol=1e-5)
        latents = sampler.step(latents, velocity, now, later)
    np.testing.assert_allclose(latents, clean, atol=1e-5)


def test_four_times_the_steps_come_four_times_closer_on_a_curved_flow() -> None:
    """Data ~ N(0, s²) has the velocity x (t - (1 - t) s²) / (t² + (1 - t)² s²), and x_1 arrives at s x_1."""
    s = np.float32(0.5)

    def error_after(steps: int) -> float:
        x = start = sampler.noise([3], SHAPE)
        t = sampler.times(steps)
        for now, later in pairwise(t):
            velocity = x * (now - (1 - now) * s**2) / (now**2 + (1 - now) ** 2 * s**2)
            x = sampler.step(x, velocity, now, later)
        return float(np.abs(x - s * start).max())

    coarse, fine = error_after(16), error_after(64)
    assert coarse / fine == pytest.approx(4, rel=0.15)  # Euler's method is of first order


def test_guidance_extrapolates() -> None:
    conditional, unconditional = sampler.noise([1, 2], SHAPE)
    np.testing.assert_allclose(sampler.guided(conditional, unconditional, 1.0), conditional, atol=1e-6)
    np.testing.assert_array_equal(sampler.guided(conditional, unconditional, 0.0), unconditional)
    np.testing.assert_allclose(
        sampler.guided(conditional, unconditional, 3.0), conditional + 2 * (conditional - unconditional), atol=1e-5
    )
    assert sampler.guided(conditional, unconditional, 3.5).dtype == np.float32


def test_another_stream_of_a_seed_is_other_noise_and_as_reproducible() -> None:
    still, motion = sampler.noise([7], (8, 4, 4)), sampler.noise([7], (8, 4, 4), stream=1)
    assert abs(np.corrcoef(still.ravel(), motion.ravel())[0, 1]) < 0.3
    assert np.array_equal(motion, sampler.noise([7, 8], (8, 4, 4), stream=1)[:1])
    assert sampler.noise([7, 8], (3, 8, 4, 4), stream=1).shape == (2, 3, 8, 4, 4)


def test_noise_is_that_of_numpys_philox_so_that_others_can_make_it_too() -> None:
    source = np.random.SeedSequence(7, spawn_key=(1,))
    for noise, philox in (
        (sampler.noise([7], (8, 4, 4)), np.random.Philox(7)),
        (sampler.noise([7], (8, 4, 4), stream=1), np.random.Philox(source)),
    ):
        assert np.array_equal(noise[0], np.random.Generator(philox).standard_normal((8, 4, 4), np.float32))
