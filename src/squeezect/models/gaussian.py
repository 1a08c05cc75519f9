"""Gaussian-process regression on a network's features: arrays in, arrays out.

The second half of TumorNet (Hussein et al. 2017), for the features of any network. scikit-learn
chooses the kernel's numbers; what is kept are arrays, which go into safetensors as they are, and
prediction is three lines of linear algebra on them (Rasmussen and Williams, "Gaussian Processes for
Machine Learning", 2006, algorithm 2.1).
"""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, ModelError

FloatArray = npt.NDArray[np.float64]

BAD_FEATURES = Code(
    "bad-gaussian-features",
    "Features or targets of a Gaussian process do not fit together, or are not finite.",
    "give one row of finite features per case, of the network it was fitted for, and one target",
)
BAD_ARRAYS = Code(
    "bad-gaussian-arrays",
    "The arrays are not those of a Gaussian process.",
    "give the arrays that a fitted process gave, all of them and no others",
)


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A fitted process: a squared exponential of the distance between features, and noise.

    Args:
        centre: mean of each feature where it was fitted; shape (features,).
        spread: standard deviation of each feature there; shape (features,).
        points: standardised features it was fitted to; shape (cases, features).
        weights: of each case in the mean; shape (cases,).
        factor: lower Cholesky factor of the cases' covariance; shape (cases, cases).
        kernel: signal variance, length, noise variance, in units of `target`'s deviation.
        target: mean and standard deviation of the targets.
    """

    centre: FloatArray
    spread: FloatArray
    points: FloatArray
    weights: FloatArray
    factor: FloatArray
    kernel: FloatArray
    target: FloatArray

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.floating]]) -> Self:
        """The process that gave these arrays.

        Raises:
            ModelError: `bad-gaussian-arrays`.
        """
        known = set(cls.__dataclass_fields__)
        if set(arrays) != known:
            wrong = ", ".join(sorted(set(arrays) ^ known))
            raise ModelError(BAD_ARRAYS, f"missing or unknown arrays: {wrong}")
        process = cls(**{name: np.asarray(array, float) for name, array in arrays.items()})
        cases, features = (*process.points.shape, 0, 0)[:2]
        shapes = {
            "centre": (features,),
            "spread": (features,),
            "points": (cases, features),
            "weights": (cases,),
            "factor": (cases, cases),
            "kernel": (3,),
            "target": (2,),
        }
        for name, shape in shapes.items():
            found = getattr(process, name).shape
            if found != shape:
                raise ModelError(BAD_ARRAYS, f"array {name} has shape {found}, not {shape}")
        return process

    def as_arrays(self) -> dict[str, FloatArray]:
        """All that it is, by name."""
        # In C order: safetensors would write others scrambled, without a word.
        return {name: np.ascontiguousarray(array) for name, array in asdict(self).items()}

    def predict(self, features: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Expected targets of cases and their standard deviations, noise included.

        Args:
            features: shape (cases, features).

        Raises:
            ModelError: `bad-gaussian-features`.
        """
        from scipy.linalg import solve_triangular

        given = _checked(features, width=len(self.centre))
        signal, length, noise = self.kernel
        standardised = (given - self.centre) / self.spread
        distances = _squared_distances(standardised, self.points)
        covariance = signal * np.exp(-0.5 * distances / length**2)
        known = solve_triangular(self.factor, covariance.T, lower=True)
        variance = np.maximum(signal + noise - (known**2).sum(0), 0)
        mean, deviation = self.target
        return mean + deviation * (covariance @ self.weights), deviation * np.sqrt(variance)

    def probabilities(self, features: npt.ArrayLike) -> FloatArray:
        """Expected targets within [0, 1]: probabilities of class 1 if targets were classes."""
        return self.predict(features)[0].clip(0, 1)


def fit_gaussian_process(
    features: npt.ArrayLike, targets: npt.ArrayLike, *, seed: int = 0
) -> GaussianProcess:
    """Fit a process to a network's features by its marginal likelihood.

    Args:
        features: shape (cases, features), of cases that the network was not tested on.
        targets: malignancy or class of each case, shape (cases,).
        seed: of the restarts of the search for the kernel's numbers.

    Raises:
        ModelError: `bad-gaussian-features`.

    Example:
        >>> x = np.linspace(0, 1, 20)[:, None]
        >>> process = fit_gaussian_process(x, np.sin(6 * x[:, 0]))
        >>> bool(abs(process.predict([[0.26]])[0][0] - 1) < 0.01)
        True
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    given = _checked(features)
    wanted = np.asarray(targets, float)
    if wanted.shape != given.shape[:1] or not np.isfinite(wanted).all() or len(wanted) < 2:
        raise ModelError(
            BAD_FEATURES, f"{len(given)} rows of features, targets of shape {wanted.shape}"
        )
    centre, spread = given.mean(0), given.std(0)
    spread[spread == 0] = 1.0  # a feature that never moves says nothing, and must not divide
    # Distances grow with the root of the number of features; so does the length to start from.
    start = float(np.sqrt(given.shape[1]))
    kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(start, (1e-2 * start, 1e3 * start))
    kernel += WhiteKernel(0.1, (1e-6, 1e1))
    regressor = GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=2, random_state=seed
    )
    with warnings.catch_warnings():
        # A number on its bound is an answer here: noise-free targets, or features without use.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit((given - centre) / spread, wanted)
    return GaussianProcess(
        centre=centre,
        spread=spread,
        points=regressor.X_train_,
        weights=regressor.alpha_,
        factor=regressor.L_,
        kernel=np.exp(regressor.kernel_.theta),
        target=np.array([wanted.mean(), wanted.std() or 1.0]),
    )


def _checked(features: npt.ArrayLike, *, width: int | None = None) -> FloatArray:
    given = np.asarray(features, float)
    if given.ndim != 2 or not given.size or (width is not None and given.shape[1] != width):
        wanted = "features" if width is None else f"{width} features"
        raise ModelError(BAD_FEATURES, f"array of shape {given.shape}, not (cases, {wanted})")
    if not np.isfinite(given).all():
        row = int(np.flatnonzero(~np.isfinite(given).all(1))[0])
        raise ModelError(BAD_FEATURES, f"row {row} has a feature that is not finite")
    return given


def _squared_distances(left: FloatArray, right: FloatArray) -> FloatArray:
    from scipy.spatial.distance import cdist

    distances: FloatArray = cdist(left, right, "sqeuclidean")
    return distances
