"""The Gaussian process against scikit-learn, and from arrays to arrays."""

import numpy as np
import pytest
from safetensors.numpy import load, save
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from squeezect.errors import ModelError
from squeezect.models.gaussian import GaussianProcess, fit_gaussian_process


def cases(count=40, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(3, 2, (count, 3))
    return features, np.sin(features[:, 0]) + 0.1 * random.normal(size=count)


def test_predictions_are_those_of_scikit_learn():
    features, targets = cases()
    process = fit_gaussian_process(features, targets)
    signal, length, noise = process.kernel
    kernel = ConstantKernel(signal) * RBF(length) + WhiteKernel(noise)
    standardised = (features - features.mean(0)) / features.std(0)
    peer = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
    peer.fit(standardised, targets)
    new = cases(seed=1)[0]
    expected = peer.predict((new - features.mean(0)) / features.std(0), return_std=True)
    for found, wanted in zip(process.predict(new), expected, strict=True):
        assert np.abs(found - wanted).max() < 1e-8


def test_doubt_grows_away_from_the_cases():
    features, targets = cases()
    process = fit_gaussian_process(features, targets)
    near, far = process.predict([features[0], features[0] + 100])[1]
    assert near < far
    assert process.predict([features[0] + 100])[0][0] == pytest.approx(targets.mean(), abs=1e-6)


def test_it_survives_safetensors():
    features, targets = cases()
    process = fit_gaussian_process(features, targets)
    again = GaussianProcess.from_arrays(load(save(process.as_arrays())))
    for found, wanted in zip(again.predict(features), process.predict(features), strict=True):
        assert np.array_equal(found, wanted)


def test_scale_and_offset_of_features_do_not_matter():
    features, targets = cases()
    plain = fit_gaussian_process(features, targets).predict(features)[0]
    moved = fit_gaussian_process(features * 8 - 5, targets).predict(features * 8 - 5)[0]
    assert np.abs(plain - moved).max() < 1e-3


def test_a_feature_that_never_moves_is_harmless():
    features, targets = cases()
    features[:, 2] = 7
    assert np.isfinite(fit_gaussian_process(features, targets).predict(features)[0]).all()


def test_probabilities_stay_within_their_range():
    features, _ = cases()
    process = fit_gaussian_process(features, features[:, 0] > 3)
    found = process.probabilities(features * 3)
    assert found.min() >= 0
    assert found.max() <= 1


def test_bad_features_and_arrays_are_refused():
    features, targets = cases()
    with pytest.raises(ModelError, match="targets of shape"):
        fit_gaussian_process(features, targets[1:])
    with pytest.raises(ModelError, match="row 2"):
        fit_gaussian_process(np.where(np.arange(40)[:, None] == 2, np.nan, features), targets)
    process = fit_gaussian_process(features, targets)
    with pytest.raises(ModelError, match="3 features"):
        process.predict(features[:, :2])
    arrays = process.as_arrays()
    with pytest.raises(ModelError, match="weights"):
        GaussianProcess.from_arrays({k: v for k, v in arrays.items() if k != "weights"})
    with pytest.raises(ModelError, match="factor"):
        GaussianProcess.from_arrays(arrays | {"factor": arrays["factor"][1:]})
