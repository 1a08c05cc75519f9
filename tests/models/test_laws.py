"""Laws that every registered network keeps."""

import numpy as np
import pytest
import torch

from squeezect.errors import ModelError
from squeezect.models import create_model, model_names, registry

SMALL = {"squeezenet3d-modern": {"width": 0.25, "depth": 4}}


@pytest.fixture(params=model_names())
def name(request):
    return request.param


def make(name, seed=0, **options):
    torch.manual_seed(seed)
    return create_model(name, options=SMALL.get(name, {}) | options)


def volumes(batch=2, size=(32, 32, 32), seed=1):
    return torch.from_numpy(np.random.default_rng(seed).random((batch, 1, *size), np.float32))


@pytest.mark.parametrize("size", [(32, 32, 32), (33, 40, 47)])
def test_logits_are_the_mean_of_the_class_map(name, size):
    model = make(name).eval()
    with torch.inference_mode():
        class_map = model.class_map(volumes(size=size))
        logits = model(volumes(size=size))
    assert logits.shape == (2, 2)
    assert torch.allclose(class_map.mean((2, 3, 4)), logits, atol=1e-6)


def test_gradients_reach_every_parameter(name):
    model = make(name, dropout=0.0)
    model(volumes()).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


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


def test_one_batch_is_learnt_by_heart(name):
    model = make(name, dropout=0.0).train()
    batch, labels = volumes(4), torch.tensor([0, 1, 0, 1])
    batch[1::2, :, 8:16, 8:16, 8:16] = 1.0
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(batch), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.1:
            break
    assert loss.item() < 0.3


@pytest.mark.parametrize("side", [64, 65])
def test_cells_look_where_they_say(name, side):
    """The gradient of one cell's map is centred on the place that `cells` names."""
    model = make(name, **({"head": "mean"} if name.endswith("modern") else {})).double().eval()
    for module in model.modules():  # a max pool passes gradient to one voxel; a mean is symmetric
        if isinstance(module, torch.nn.MaxPool3d):
            module.forward = lambda x, m=module: torch.nn.functional.avg_pool3d(
                x, m.kernel_size, m.stride, m.padding
            )
    torch.nn.init.uniform_(model.get_parameter(next(iter(dict(model.named_parameters())))), 0.1, 1)
    for parameter in model.parameters():
        parameter.data.abs_()
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


def test_unknown_names_and_options_are_refused_by_name():
    with pytest.raises(ModelError, match="squeezenet3d"):
        create_model("resnet9000")
    with pytest.raises(ModelError, match=r"dropout = 2"):
        create_model("squeezenet3d", options={"dropout": 2})
    with pytest.raises(ModelError, match="colour"):
        create_model("squeezenet3d", options={"colour": 1})


def test_a_name_is_taken_once():
    with pytest.raises(ModelError, match="model-twice"):
        registry.register(registry.entry("squeezenet3d"))
