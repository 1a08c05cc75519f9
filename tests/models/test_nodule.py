"""The ensemble is the mean of its members, and each member can be taught."""

import pytest
import torch
from torch import nn

from squeezect.errors import ModelError
from squeezect.models import create_model
from squeezect.models.nodule import Member, NoduleNet


def network(**options: object) -> NoduleNet:
    model = create_model("squeezenet-nodule", options={"width": 0.5, **options}).eval()
    assert isinstance(model, NoduleNet)
    return model


@pytest.mark.parametrize("inside", [False, True])
def test_logits_are_the_mean_of_what_the_members_say(inside: bool) -> None:
    torch.manual_seed(0)
    model = network(members=3, ratings=4, outlines=True, inside=inside)
    volumes = torch.rand(2, 1, 9, 20, 22)
    lessons = model.lessons(volumes)
    mean = torch.stack([lesson.logits for lesson in lessons]).mean(0)
    assert torch.allclose(model(volumes), mean, atol=1e-5)
    assert torch.allclose(model.class_map(volumes).mean((2, 3, 4)), mean, atol=1e-5)
    assert not torch.allclose(lessons[0].logits, lessons[1].logits)


def test_a_lesson_has_an_outline_a_quarter_as_fine_and_the_ratings_asked_for() -> None:
    lesson = network(members=1, ratings=4, outlines=True).lessons(torch.rand(2, 1, 16, 36, 36))[0]
    assert lesson.outline is not None
    assert lesson.outline.shape == (2, 1, 8, 9, 9)
    assert lesson.ratings.shape == (2, 4)
    plain = network(members=1).lessons(torch.rand(2, 1, 8, 16, 16))[0]
    assert plain.ratings.shape == (2, 0)
    assert plain.outline is None


def test_cells_are_where_their_evidence_is() -> None:
    torch.manual_seed(0)
    model = network(members=1)
    volumes = torch.rand(1, 1, 32, 64, 64, requires_grad=True)
    (z0, y0, x0), (dz, dy, dx) = model.cells((32, 64, 64))
    cell = (4, 4, 4)
    gradient = torch.autograd.grad(model.class_map(volumes)[0, 1][cell], volumes)[0][0, 0].abs()
    for axis, (first, step) in enumerate(((z0, dz), (y0, dy), (x0, dx))):
        others = tuple(a for a in range(3) if a != axis)
        mass = gradient.sum(others)
        centre = (mass * torch.arange(len(mass))).sum() / mass.sum()
        assert abs(float(centre) - (first + step * cell[axis])) < step / 2


def test_at_most_two_million_parameters() -> None:
    model = create_model(
        "squeezenet-nodule", options={"members": 8, "ratings": 12, "outlines": True}
    )
    assert sum(p.numel() for p in model.parameters()) < 2_000_000


def test_a_member_that_looks_inside_judges_by_the_outline_it_draws() -> None:
    torch.manual_seed(0)
    member = network(members=1, outlines=True, inside=True).members[0]
    assert isinstance(member, Member)
    assert isinstance(member.outline, nn.Conv3d)
    assert member.outline.bias is not None
    features, near = member.features(torch.rand(1, 1, 16, 36, 36))
    plain = features.shape[1]
    with torch.no_grad():
        member.outline.weight.zero_()
        member.outline.bias.fill_(0.0)
        half = member.evidence(features, near).mean((2, 3, 4))[0]
        member.outline.bias.fill_(-6.0)
        least = member.evidence(features, near).mean((2, 3, 4))[0]
    # An outline that is alike everywhere: the same mean feature inside, a smaller nodule.
    assert torch.allclose(half[:-1], least[:-1], atol=1e-4)
    assert half[-1] > least[-1]
    assert torch.allclose(half[:plain], features.mean((2, 3, 4))[0], atol=1e-5)


def test_looking_inside_needs_an_outline() -> None:
    with pytest.raises(ModelError, match="inside needs outlines"):
        network(inside=True)
