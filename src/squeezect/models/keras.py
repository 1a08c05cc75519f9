"""Weights of the same network in Keras, brought over.

Keras keeps kernels as [z, y, x, in, out]; PyTorch as [out, in, z, y, x]. Nothing else differs.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from squeezect.errors import Code, ModelError

WRONG_WEIGHTS = Code(
    "wrong-keras-weights",
    "The arrays are not those of a Keras SqueezeNet3D.",
    "name layers as in the paper: conv1, fire2_squeeze, fire2_expand1, fire2_expand2, ... conv10",
)


def from_keras(weights: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, torch.Tensor]:
    """State dict of `SqueezeNet3D` from a Keras model's arrays.

    Args:
        weights: ``{"conv1/kernel": ..., "conv1/bias": ..., "fire2_squeeze/kernel": ...}``.

    Raises:
        ModelError: `wrong-keras-weights`, naming the array.
    """
    state: dict[str, torch.Tensor] = {}
    for name, values in weights.items():
        layer, _, part = name.rpartition("/")
        if part not in {"kernel", "bias"} or not layer:
            raise ModelError(WRONG_WEIGHTS, f"array {name!r} is neither a kernel nor a bias")
        if values.ndim != (5 if part == "kernel" else 1):
            raise ModelError(WRONG_WEIGHTS, f"array {name!r} has {values.ndim} dimensions")
        array = np.transpose(values, (4, 3, 0, 1, 2)) if part == "kernel" else values
        key = layer.replace("_", ".") + (".weight" if part == "kernel" else ".bias")
        state[key] = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    return state
