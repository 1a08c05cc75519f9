"""The ensemble is the mean of its members, and each member can be taught."""

import pytest
import torch

from squeezect.errors import ModelError
from squeezect.models import create_model
from squeezect.models.nodule import MEASURES, Member, NoduleNet, Outline, _halved, measured


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


def test_a_lesson_has_an_outline_half_as_fine_in_slices_and_the_ratings_asked_for() -> None:
    lesson = network(members=1, ratings=4, outlines=True).lessons(torch.rand(2, 1, 16, 36, 36))[0]
    assert lesson.outline is not None
    assert lesson.outline.shape == (2, 1, 16, 18, 18)
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
    assert isinstance(member.outline, Outline)
    assert member.outline.draw.bias is not None
    volumes = torch.rand(1, 1, 16, 36, 36)
    features, _, _ = member.features(volumes)
    plain = features.shape[1]
    with torch.no_grad():
        member.outline.draw.weight.zero_()
        member.outline.draw.bias.fill_(0.0)
        half = member.judged(volumes)[0].mean((2, 3, 4))[0]
        member.outline.draw.bias.fill_(-6.0)
        least = member.judged(volumes)[0].mean((2, 3, 4))[0]
    # An outline that is alike everywhere: the same mean feature inside, a smaller nodule.
    assert torch.allclose(half[:-MEASURES], least[:-MEASURES], atol=1e-4)
    assert half[-MEASURES] > least[-MEASURES]
    assert torch.allclose(half[:plain], features.mean((2, 3, 4))[0], atol=1e-5)


def test_a_box_is_measured_as_what_it_is() -> None:
    share, volumes = torch.zeros(1, 1, 16, 18, 18), torch.full((1, 1, 16, 36, 36), -1.0)
    share[0, 0, 4:12, 4:14, 6:12] = 1
    volumes[0, 0, 4:12, 7:29, 11:25] = 2.0
    found = measured(share, volumes)[0].double()
    z, y, x = (step**2 * (n**2 - 1) / 12 for step, n in zip((1, 2, 2), (8, 10, 6), strict=True))
    sizes = (8 * 10 * 6 / 5184, 10 * 6 / 324, z + 1, y + x + 1, y - x + 1)
    assert torch.allclose(found[:5].exp(), torch.tensor(sizes).double(), rtol=0.05)
    assert found[5] == pytest.approx(0, abs=2e-3)
    assert found[6] == pytest.approx(2.0, abs=0.05)
    assert found[7] < 0.5
    assert found[8] < 0


def test_measures_do_not_depend_on_place_or_turn() -> None:
    torch.manual_seed(0)
    share, volumes = torch.zeros(1, 1, 16, 18, 18), torch.zeros(1, 1, 16, 35, 35)
    share[..., 4:10, 4:9, 4:11] = torch.rand(6, 5, 7)
    volumes[..., 3:11, 6:20, 6:24] = torch.rand(8, 14, 18)
    here = measured(share, volumes)
    moved = measured(share.roll((2, 4, 3), (2, 3, 4)), volumes.roll((2, 8, 6), (2, 3, 4)))
    assert torch.allclose(moved, here, atol=2e-2)  # a little is enclosed everywhere
    for turned in (lambda v: v.flip(2), lambda v: v.flip(4), lambda v: v.rot90(1, (3, 4))):
        assert torch.allclose(measured(turned(share), turned(volumes)), here, atol=1e-4)


def test_measures_of_nothing_are_numbers_and_teach() -> None:
    share = torch.full((1, 1, 16, 18, 18), 1e-9, requires_grad=True)
    found = measured(share, torch.zeros(1, 1, 16, 36, 36))
    assert found.isfinite().all()
    found.sum().backward()
    assert share.grad is not None
    assert share.grad.isfinite().all()


@pytest.mark.parametrize("inside", [False, True])
def test_an_outline_is_drawn_to_judge_only_if_it_is_judged_by(inside: bool) -> None:
    member = network(members=1, outlines=True, inside=inside).members[0]
    assert isinstance(member, Member)
    volumes = torch.rand(1, 1, 8, 16, 16)
    assert (member.judged(volumes)[1] is not None) == inside
    assert member.judged(volumes, taught=True)[1] is not None


def test_a_lone_case_is_taught_by_the_statistics_of_those_before() -> None:
    torch.manual_seed(0)
    model = network(members=1, ratings=2, outlines=True, inside=True).train()
    member = model.members[0]
    assert isinstance(member, Member)
    norm, plain = member.measures_norm, torch.nn.BatchNorm1d(MEASURES)
    assert norm is not None
    batch = torch.rand(3, MEASURES)
    assert torch.equal(norm(batch), plain(batch))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in before.items())
    lesson = model.lessons(torch.rand(1, 1, 16, 36, 36))[0]
    lesson.logits.sum().backward()
    assert torch.isfinite(lesson.logits).all()
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert torch.equal(norm(batch[:1]), plain.eval()(batch[:1]))


def test_means_of_few_values_count_the_same_zeros_beyond_the_ends() -> None:
    values = torch.rand(2, 3, 2, 4, 5)
    deeper = torch.nn.functional.pad(values, (0, 0, 0, 0, 0, 1))
    assert torch.allclose(_halved(values), _halved(deeper)[:, :, :1], atol=1e-6)
    assert _halved(values[:, :, :1]).shape == (2, 3, 1, 2, 3)


def test_looking_inside_needs_an_outline() -> None:
    with pytest.raises(ModelError, match="inside needs outlines"):
        network(inside=True)
