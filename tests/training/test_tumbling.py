"""Poses change where things are, not what they are."""

import pytest
import torch

from squeezect.training.recipe import Tumbling
from squeezect.training.tumbling import tumble

STILL = Tumbling(tilt=0, scale=0, stretch=0, shift=0, gain=0, offset=0, noise=0)


def ball(radius: float = 5.0, size: tuple[int, int, int] = (25, 27, 27)) -> torch.Tensor:
    axes = [torch.arange(n) - (n - 1) / 2 for n in size]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return (z**2 + y**2 + x**2 <= radius**2).float()[None, None].repeat(6, 1, 1, 1, 1)


def egg() -> torch.Tensor:
    z, y, x = torch.meshgrid(*[torch.arange(n) - 12.0 for n in (25, 25, 25)], indexing="ij")
    return torch.sigmoid(4 - (z**2 + y**2 / 3 + (x - 2) ** 2).sqrt())[None, None].repeat(
        6, 1, 1, 1, 1
    )


def test_a_ball_stays_a_ball_whatever_the_pose() -> None:
    torch.manual_seed(0)
    how = STILL.model_copy(update={"tilt": 1.0})
    turned = tumble(ball(), how)
    assert (turned - ball()).abs().mean() < 0.01
    assert turned.sum((1, 2, 3, 4)) == pytest.approx(ball().sum((1, 2, 3, 4)), rel=0.02)


def test_turning_keeps_volume_and_centre_of_an_egg_at_its_distance() -> None:
    torch.manual_seed(1)
    before, after = egg(), tumble(egg(), STILL.model_copy(update={"tilt": 0.3}))
    assert after.sum((1, 2, 3, 4)) == pytest.approx(before.sum((1, 2, 3, 4)), rel=0.02)
    axis = torch.arange(25) - 12.0

    def distance(volumes: torch.Tensor) -> torch.Tensor:
        mass = volumes[:, 0]
        places = [
            (mass.sum(other) * axis).sum(1) / mass.sum((1, 2, 3))
            for other in ((2, 3), (1, 3), (1, 2))
        ]
        return torch.stack(places, 1).norm(dim=1)

    assert distance(after) == pytest.approx(distance(before), abs=0.1)
    assert not torch.allclose(after[0], after[1], atol=0.1), "poses differ within a batch"


def test_scaling_scales_the_volume_by_no_more_than_asked() -> None:
    torch.manual_seed(2)
    change = tumble(ball(), STILL.model_copy(update={"scale": 0.2})).sum((1, 2, 3, 4))
    ratio = change / ball().sum((1, 2, 3, 4))
    assert ratio.min() > 0.95 * torch.exp(torch.tensor(-0.6))
    assert ratio.max() < 1.05 * torch.exp(torch.tensor(0.6))
    assert ratio.max() / ratio.min() > 1.1


def test_the_mask_goes_along_but_keeps_its_values() -> None:
    torch.manual_seed(3)
    both = torch.cat([0.5 * egg(), egg()], 1)
    how = Tumbling(gain=0, offset=0, noise=0)
    moved = tumble(both, how)
    assert torch.allclose(moved[:, 0], 0.5 * moved[:, 1], atol=1e-5)
    torch.manual_seed(3)
    noisy = tumble(both, Tumbling(gain=0.3, offset=0.1, noise=0.1))
    assert noisy[:, 1].amax() <= 1
    assert not torch.allclose(noisy[:, 0], moved[:, 0], atol=0.02)


def test_the_generator_decides() -> None:
    torch.manual_seed(4)
    first = tumble(egg(), Tumbling())
    torch.manual_seed(4)
    assert torch.equal(first, tumble(egg(), Tumbling()))
