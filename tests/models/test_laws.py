"""Laws that every registered network keeps."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from squeezect.errors import ModelError
from squeezect.models import create_model, model_names, registry
from squeezect.models.catalogue import catalogue

SMALL = {
    "cnn2d": {"width": 16},
    "general3d": {"side": 16, "dense": 32},
    "multiview": {"width": 16, "dense": 16},
    "tumornet": {"width": 16, "size": 32},
    "multiscale": {"width": 16, "dense": 16, "size": 16},
    "recurrent": {"width": 16, "memory": 16},
    "squeezenet-local": {"width": 0.25, "depth": 3},
    "densenet121": {"blocks": (2, 2, 2, 2)},
    "resnet18": {"width": 0.125},
    "squeezenet3d-modern": {"width": 0.25, "depth": 4},
}
"""Options that make a network small enough to be trained in a test."""

PLAIN = {"squeezenet3d-modern": {"head": "mean"}}
"""Options of a plain mean: other pooling couples every cell with every voxel."""

LARGER = {"voxel64": 32, "squeezenet3d": 24, "squeezenet3d-v11": 24}
"""Voxels to add before an export is for any size: one cell or window and many export apart."""


SHALLOW = [
    *(("squeezenet3d-modern", {"cell": c, "depth": d}) for c, d in ((4, 2), (8, 2), (8, 3))),
    *(("squeezenet3d-modern", {"cell": 16, "depth": d}) for d in (2, 3, 4, 5)),
    *(("squeezenet-local", {"depth": d}) for d in (2, 4, 6)),
]
"""Options that end a network before, at and behind each of its pools."""

ALONE = [
    ("squeezenet-nodule", {"members": 2, "outlines": True, "inside": True, "ratings": 3}),
    ("squeezenet3d-modern", {"norm": "instance"}),
    ("squeezenet3d-modern", {"cell": 16, "depth": 8}),
    ("squeezenet-local", {"flat": True}),
    ("cnn2d", {"slices": "middle"}),
]
"""Options whose layers might need more than one case to learn from."""


@pytest.fixture(params=model_names())
def name(request):
    return request.param


def make(name, seed=0, **options):
    torch.manual_seed(seed)
    return create_model(name, options=SMALL.get(name, {}) | options)


def volumes(batch=2, size=(32, 32, 32), seed=1):
    return torch.from_numpy(np.random.default_rng(seed).random((batch, 1, *size), np.float32))


def sizes(name):
    return {registry.entry(name).smallest, (33, 40, 47)}


def test_logits_are_given_for_any_legal_size(name):
    model = make(name).eval()
    for size in sizes(name):
        with torch.inference_mode():
            logits = model(volumes(size=size))
        assert logits.shape == (2, 2), size
        assert torch.isfinite(logits).all(), size


def test_smaller_sizes_are_refused(name):
    smallest = registry.entry(name).smallest
    registry.check_size(name, smallest)
    for axis in range(3):
        size = tuple(n - (a == axis) for a, n in enumerate(smallest))
        with pytest.raises(ModelError, match="input-too-small"):
            registry.check_size(name, size)


def test_logits_are_the_mean_of_the_class_map_if_there_is_one(name):
    model = make(name).eval()
    for size in sizes(name):
        if not model.localises:
            with pytest.raises(NotImplementedError):
                model.class_map(volumes(size=size))
            with pytest.raises(NotImplementedError):
                model.cells(size)
            continue
        with torch.inference_mode():
            class_map = model.class_map(volumes(size=size))
            logits = model(volumes(size=size))
            pooled = model.pooled(model.cell_scores(volumes(size=size)))
        assert torch.allclose(class_map.mean((2, 3, 4)), logits, atol=1e-5)
        assert torch.allclose(class_map, pooled, atol=1e-6)


def test_classes_and_channels_are_as_asked(name):
    with torch.device("meta"):
        model = create_model(name, classes=3, channels=2, options=SMALL.get(name)).eval()
        assert model(torch.empty(2, 2, 32, 32, 32)).shape == (2, 3)


def test_gradients_reach_every_parameter(name):
    model = make(name, dropout=0.0)
    model(volumes()).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize(("name", "options"), [*((n, {}) for n in model_names()), *ALONE])
def test_a_batch_of_one_of_the_smallest_volume_can_be_learnt_from(name, options):
    model = make(name, **options).train()
    model(volumes(1, registry.entry(name).smallest)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_volume_is_judged_alone_as_in_a_batch(name):
    model = make(name).eval()
    with torch.inference_mode():
        together = model(volumes(3))
        alone = torch.cat([model(v[None]) for v in volumes(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(name):
    first, second, other = make(name), make(name), make(name, seed=1)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert not all(
        torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)
    )


def test_weights_survive_safetensors(name):
    first, second = make(name).eval(), make(name, seed=1).eval()
    second.load_state_dict(load(save({k: v.contiguous() for k, v in first.state_dict().items()})))
    with torch.inference_mode():
        assert torch.equal(first(volumes()), second(volumes()))


def test_the_trainers_memory_format_and_precision_are_understood(name):
    model = make(name).eval()
    with torch.inference_mode():
        expected = model(volumes())
        model.to(memory_format=torch.channels_last_3d)
        batch = volumes().contiguous(memory_format=torch.channels_last_3d)
        scale = max(1.0, float(expected.abs().max()))
        assert torch.allclose(model(batch), expected, atol=1e-5 * scale)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.allclose(model(batch).float(), expected, atol=0.1 * scale)


def test_one_batch_is_learnt_by_heart(name):
    model = make(name, dropout=0.0).train()
    batch, labels = volumes(4) * 0.3, torch.tensor([0, 1, 0, 1])
    batch[1::2, :, 8:24, 8:24, 8:24] = 1.0
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(100):
        loss = torch.nn.functional.cross_entropy(model(batch), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.1:
            break
    assert loss.item() < 0.3


# PyTorch writes an LSTM's weights anew while it traces it, and says so.
@pytest.mark.filterwarnings("ignore:The tensor attributes self.memory._flat_weights:UserWarning")
def test_an_export_takes_any_batch_and_size(name):
    model = make(name).eval()
    free = dict.fromkeys((0, 2, 3, 4), torch.export.Dim.AUTO)
    a = LARGER.get(name, 0)
    with torch.no_grad():
        given = (volumes(2, (a + 40, a + 48, a + 56)),)
        program = torch.export.export(model, given, dynamic_shapes=(free,)).module()
        for batch, (z, y, x) in ((3, (a + 34, a + 48, a + 40)), (1, (a + 58, a + 40, a + 33))):
            other = volumes(batch, (z if model.free_size else a + 40, y, x), seed=batch)
            assert torch.allclose(program(other), model(other), atol=1e-4)


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize(("name", "options"), [*((n, {}) for n in model_names()), *SHALLOW])
def test_cells_look_where_they_say(name, options, side):
    """The gradient of one cell's map is centred on the place that `cells` names."""
    model = make(name, **PLAIN.get(name, {}) | options).double().eval()
    if not model.localises or name == "voxel64":  # its windows have a test of their own
        return
    narrow(model)
    volume = torch.ones(1, 1, side, side, side, dtype=torch.float64, requires_grad=True)
    class_map = model.class_map(volume)
    middle = [n // 2 for n in class_map.shape[2:]]
    class_map[0, 1, middle[0], middle[1], middle[2]].backward()
    weight = volume.grad[0, 0].abs()
    used = [np.flatnonzero(weight.sum([b for b in range(3) if b != a]).numpy()) for a in range(3)]
    first, step = model.cells((side, side, side))
    for axis in range(3):
        centre = (used[axis][0] + used[axis][-1]) / 2
        expected = first[axis] + step[axis] * middle[axis]
        if used[axis][0] > 0 and used[axis][-1] < side - 1:
            assert centre == pytest.approx(expected, abs=0.5)
    assert used[1][0] > 0, "the test must be able to fail"


def narrow(model):
    """Leave of each network only what moves its cells: strides, with their whole windows."""
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1)
    for module in model.modules():
        if isinstance(module, torch.nn.MaxPool3d):  # passes gradient to one voxel; a mean to all
            module.forward = lambda x, m=module: torch.nn.functional.avg_pool3d(
                x, m.kernel_size, m.stride, m.padding
            )
        if isinstance(module, torch.nn.AdaptiveAvgPool3d):  # weighs channels by the whole volume
            module.forward = lambda x, m=module: type(m).forward(m, x).detach()
        if isinstance(module, torch.nn.Conv3d):
            for axis, stride in enumerate(module.stride):
                size = module.kernel_size[axis]
                if stride == 1 and size > 1:
                    taps = torch.zeros(size, dtype=torch.float64)
                    taps[size // 2] = 1
                    shape = [size if a == axis + 2 else 1 for a in range(5)]
                    module.weight.data *= taps.reshape(shape)
            # Means, not sums: large values would drive a recurrent layer to where it is flat.
            module.weight.data /= module.weight.data.sum((1, 2, 3, 4), keepdim=True)


def test_every_network_is_in_the_catalogue_with_its_cost():
    cards = {card.name: card for card in catalogue()}
    assert tuple(cards) == model_names()
    for card in cards.values():
        assert card.parameters > 0, card
        assert card.gflop > 0, card
        assert card.source, card
        registry.check_size(card.name, card.input)
        assert all(n > 0 for n in card.smallest), card


def test_unknown_names_and_options_are_refused_by_name():
    with pytest.raises(ModelError, match="squeezenet3d"):
        create_model("resnet9000")
    with pytest.raises(ModelError, match=r"dropout = 2"):
        create_model("squeezenet3d", options={"dropout": 2})
    with pytest.raises(ModelError, match="colour"):
        create_model("squeezenet3d", options={"colour": 1})


@pytest.mark.parametrize("asked", [{"classes": n} for n in (-1, 0, 1)] + [{"channels": 0}])
def test_a_network_has_two_classes_and_one_channel_at_least(asked):
    for given in (asked, {"options": asked}):
        with pytest.raises(ModelError, match=r"greater than or equal to .*bad-model-option"):
            create_model("squeezenet3d", **given)


def test_a_name_is_taken_once():
    with pytest.raises(ModelError, match="model-twice"):
        registry.register(registry.entry("squeezenet3d"))
