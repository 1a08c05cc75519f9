"""Thresholds of shipped weights hold on machines whose last digits differ."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def shipping():
    folder = str(Path(__file__).parent.parent / "scripts")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("ship_nodule")


@given(
    st.lists(st.integers(0, 9999), min_size=2, max_size=40, unique=True),
    st.integers(0, 2**31),
    st.data(),
)
def test_a_shipped_threshold_calls_what_the_chosen_one_called(shipping, values, seed, data):
    scores = np.array(values) / 10_000
    chosen = data.draw(st.sampled_from(sorted(scores)[1:]))
    moved = scores + np.random.default_rng(seed).uniform(-4e-5, 4e-5, len(scores))
    threshold = shipping.midway(scores, chosen)
    assert ((moved >= threshold) == (scores >= chosen)).all()
