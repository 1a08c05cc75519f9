"""A thinned graph gives the same answer, for any size, and other graphs are left alone."""

import numpy as np
import openvino
import pytest
import torch

from squeezect.models import create_model
from squeezect.runtime.exporting import openvino_graph
from squeezect.runtime.thinning import find_stem, thin, toom_cook

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    model = create_model("squeezenet3d").eval()
    for name, values in model.named_parameters():
        # Fresh biases are zero; a trained network's are not.
        if name.endswith("bias"):
            torch.nn.init.normal_(values, std=0.05)
    return openvino_graph(model)


def of_size(graph, shape):
    copy = graph.clone()
    copy.reshape([1, 1, *shape])
    return copy


def answers(graph, values):
    found = openvino.Core().compile_model(graph, "CPU", EXACT)(values[None, None])
    return found[0], found[1]


def multiplications(graph):
    total = 0
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "Convolution":
            kernel = node.input_value(1).get_shape()
            total += np.prod(node.output(0).shape[2:]) * np.prod(kernel)
    return int(total)


@pytest.mark.parametrize(("outputs", "taps"), [(4, 4), (2, 3), (4, 3), (1, 4)])
def test_few_products_give_the_correlation(outputs, taps):
    a, g, b = toom_cook(outputs, taps)
    assert len(b) == outputs + taps - 1
    random = np.random.default_rng(0)
    x, w = random.normal(size=len(b)), random.normal(size=taps)
    expected = [x[i : i + taps] @ w for i in range(outputs)]
    np.testing.assert_allclose(a @ ((g @ w) * (b @ x)), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(64, 64, 64), (37, 40, 51), (50, 33, 65), (47, 64, 39)])
def test_a_thinned_network_answers_the_same(graph, shape):
    values = np.random.default_rng(1).random(shape, dtype=np.float32)
    plain, thinned = of_size(graph, shape), of_size(graph, shape)
    assert thin(thinned)
    for before, after in zip(answers(plain, values), answers(thinned, values), strict=True):
        assert before.shape == after.shape
        assert np.abs(before - after).max() < 2e-6 * np.abs(before).max()


def test_two_thirds_of_the_work_remain_where_it_matters(graph):
    plain, thinned = of_size(graph, (128, 128, 128)), of_size(graph, (128, 128, 128))
    thin(thinned)
    assert multiplications(thinned) < 0.77 * multiplications(plain)


def test_a_thinned_graph_is_not_thinned_again(graph):
    once = of_size(graph, (64, 64, 64))
    assert thin(once)
    assert not thin(once)


@pytest.mark.parametrize("name", ["squeezenet3d-modern", "squeezenet3d-v11"])
def test_other_networks_are_left_as_they_are(name):
    other = of_size(openvino_graph(create_model(name).eval()), (64, 64, 64))
    count = len(other.get_ops())
    assert not thin(other)
    assert len(other.get_ops()) == count


def test_a_graph_of_any_size_is_left_as_it_is(graph):
    assert find_stem(graph) is None
