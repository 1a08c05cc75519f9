"""The first convolution of an exported network with half the multiplications; the same answer.

On one channel, a convolution of 7^3 with stride 2 is half of SqueezeNet3D's arithmetic. Along z,
four of its outputs share their inputs, so Toom and Cook's way of multiplying polynomials computes
them from 14 products instead of 28 (Winograd, "Arithmetic Complexity of Computations", 1980; Lavin
and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). It is done for a few tiles at
a time, so that what lies between the steps stays in the processor's cache, and the pool that
follows is taken right there. In float32 the difference is of the size of rounding; the parity check
at export judges it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

OUTPUTS = 4
"""Outputs along z that are computed together."""
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), Fraction(1, 2))
"""Where the polynomials are evaluated, beside infinity; small numbers keep rounding small."""
CACHE_BYTES = 24 << 20
"""What the products of one group of tiles may take; smaller groups compile longer."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stem:
    """A strided convolution on one channel, its bias and ReLU, and the pool after them.

    Args:
        source: what the convolution reads, as a graph output.
        weights: of the convolution, shape (channels, 1, k, k, k).
        bias: shape (1, channels, 1, 1, 1).
        pool: the pool's node, whose first output is replaced.
        pads: zeros that the convolution adds before and behind [z, y, x].
    """

    source: Any
    weights: Floats
    bias: npt.NDArray[np.float32]
    pool: Any
    pads: tuple[Sequence[int], Sequence[int]]


def thin(graph: Any) -> bool:
    """Rewrite the first convolution of a graph of fixed size in place.

    Args:
        graph: an OpenVINO model.

    Returns:
        Whether there was one to rewrite; any other graph is left as it is.
    """
    stem = find_stem(graph)
    if stem is None:
        return False
    stem.pool.output(0).replace(_pooled(stem))
    graph.validate_nodes_and_infer_types()
    return True


def find_stem(graph: Any) -> Stem | None:
    """The stem of a graph, if it is of the kind that can be rewritten."""
    convolutions = [n for n in graph.get_ordered_ops() if n.get_type_name() == "Convolution"]
    if not convolutions or graph.input(0).partial_shape.is_dynamic:
        return None
    first = convolutions[0]
    weights = _constant(first.input_value(1))
    settings = first.get_attributes()
    plain = settings["strides"] == [2, 2, 2] and settings["dilations"] == [1, 1, 1]
    if weights is None or not plain or weights.shape[1:] != (1, 7, 7, 7):
        return None
    bias = np.zeros((1, len(weights), 1, 1, 1), np.float32)
    following = _reader(first)
    if following is not None and following.get_type_name() == "Add":
        added = _constant(following.input_value(1))
        if added is None or added.shape != bias.shape:
            return None
        bias, following = added, _reader(following)
    if following is None or following.get_type_name() != "Relu":
        return None
    pool = _reader(following)
    if pool is None or pool.get_type_name() != "MaxPool" or not _is_plain(pool.get_attributes()):
        return None
    pads = (tuple(settings["pads_begin"]), tuple(settings["pads_end"]))
    return Stem(first.input_value(0), weights.astype(np.float64), bias, pool, pads)


def _reader(node: Any) -> Any:
    """The one node that reads a node's first output; None if there are others."""
    readers = list(node.output(0).get_target_inputs())
    return readers[0].get_node() if len(readers) == 1 else None


def _is_plain(pool: dict[str, Any]) -> bool:
    sizes = pool["kernel"] == [3, 3, 3] and pool["strides"] == [2, 2, 2]
    return sizes and not any([*pool["pads_begin"], *pool["pads_end"]])


def _constant(output: Any) -> npt.NDArray[np.float32] | None:
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node.get_data().astype(np.float32) if node.get_type_name() == "Constant" else None


def toom_cook(outputs: int, taps: int) -> tuple[Floats, Floats, Floats]:
    """Matrices of a filter of `taps` with several outputs from few products.

    Args:
        outputs: computed together.
        taps: of the filter.

    Returns:
        A (outputs, n), G (n, taps) and B (n, n) with n = outputs + taps - 1, such that
        A @ ((G @ w) * (B @ x)) is the correlation of n values x with the filter w.
    """
    size = outputs + taps - 1
    points = POINTS[: size - 1]

    def powers(count: int) -> list[list[Fraction]]:
        rows = [[point**power for power in range(count)] for point in points]
        return [*rows, [Fraction(int(power == count - 1)) for power in range(count)]]

    inverse = _inverted(powers(size))
    transposed = np.array([[float(row[i]) for row in inverse] for i in range(size)])
    a, g = (np.array([[float(v) for v in row] for row in powers(n)]) for n in (outputs, taps))
    return a.T, g, transposed


def _inverted(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """The inverse in exact fractions, by elimination."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [value / scale for value in rows[column]]
        for i in range(size):
            factor = rows[i][column]
            if i != column and factor:
                pairs = zip(rows[i], rows[column], strict=True)
                rows[i] = [value - factor * base for value, base in pairs]
    return [row[size:] for row in rows]


def _pooled(stem: Stem) -> Any:
    """The stem's output, (1, channels, z, y, x) after ReLU and pool, in the thinned way."""
    from openvino import opset13 as ops

    a, g, b = toom_cook(OUTPUTS, 4)
    before, behind = stem.pads
    depth, height, width = np.add(stem.source.shape[2:], np.add(before, behind)).tolist()
    rows = (height - 7) // 2 + 1
    outputs = (depth - 7) // 2 + 1
    tiles = -(-outputs // OUTPUTS)
    missing = 2 * OUTPUTS * (tiles - 1) + 2 * len(b) - depth
    ends = [0, 0, behind[0] + max(0, missing), *behind[1:]]
    padded = ops.pad(stem.source, [0, 0, *before], ends, "constant", np.float32(0))
    mixed = _convolution(padded, _mixing(b), (2 * OUTPUTS, 1, 1))
    filters = _filters(stem.weights, g)
    bytes_per_tile = filters.nbytes // filters[0, 0].nbytes * rows * ((width - 7) // 2 + 1) * 4
    group = max(1, CACHE_BYTES // bytes_per_tile)
    parts: list[list[Any]] = [[] for _ in range(OUTPUTS)]
    for start in range(0, tiles, group):
        stop = min(tiles, start + group)
        products = []
        for number, kernel in enumerate(filters):
            taken = ops.slice(mixed, [2 * number, start], [2 * number + 2, stop], [1, 1], [1, 2])
            products.append(_convolution(taken, kernel, (1, 2, 2)))
        for part, sums in zip(parts, _combined(products, a), strict=True):
            part.append(_flat_pool(sums))
    joined = [ops.concat(part, 2) if len(part) > 1 else part[0] for part in parts]
    pooled = _along_z(joined, tiles=tiles, count=(outputs - 3) // 2 + 1)
    # Neither bias nor ReLU changes which value is largest, and there are fewer after the pool.
    return ops.relu(ops.add(pooled, stem.bias)).output(0)


def _mixing(b: Floats) -> npt.NDArray[np.float32]:
    """Weights that mix planes of both parities: (2 n, 1, 2 n, 1, 1), a pair for each product."""
    weights = np.zeros((len(b), 2, len(b), 2))
    for parity in (0, 1):
        weights[:, parity, :, parity] = b
    return weights.reshape(2 * len(b), 1, 2 * len(b), 1, 1).astype(np.float32)


def _filters(weights: Floats, g: Floats) -> npt.NDArray[np.float32]:
    """Kernels of each product, shape (n, channels, 2, 1, 7, 7)."""
    even, odd = weights[:, 0, 0::2], weights[:, 0, 1::2]
    odd = np.concatenate([odd, np.zeros_like(odd[:, :1])], axis=1)
    both = np.einsum("nj,pojyx->nopyx", g, np.stack([even, odd]))
    kernels: npt.NDArray[np.float32] = both[:, :, :, None].astype(np.float32)
    return kernels


def _combined(products: Sequence[Any], a: Floats) -> list[Any]:
    """The outputs of a tile from its products, sums shared where signs allow."""
    from openvino import opset13 as ops

    pairs = [(1, 2), (3, 4)]
    sums = [ops.add(products[i], products[j]) for i, j in pairs]
    gaps = [ops.subtract(products[i], products[j]) for i, j in pairs]
    results = []
    for row in a:
        terms = [
            (row[i], (sums if row[i] == row[j] else gaps)[k]) for k, (i, j) in enumerate(pairs)
        ]
        terms += [(row[i], products[i]) for i in (0, 5, 6) if row[i]]
        total = None
        for factor, term in terms:
            scaled = term if factor == 1 else ops.multiply(term, np.float32(factor))
            total = scaled if total is None else ops.add(total, scaled)
        results.append(total)
    return results


def _convolution(source: Any, weights: npt.NDArray[np.float32], strides: Sequence[int]) -> Any:
    from openvino import opset13 as ops

    return ops.convolution(source, weights, list(strides), [0] * 3, [0] * 3, [1] * 3)


def _flat_pool(values: Any) -> Any:
    """The pool within planes."""
    from openvino import opset13 as ops

    pool = ops.max_pool(values, [1, 2, 2], [1, 1, 1], [0] * 3, [0] * 3, [1, 3, 3])
    return pool.output(0)


def _along_z(parts: Sequence[Any], *, tiles: int, count: int) -> Any:
    """The pool across planes, whose outputs alternate between two sets of a tile's planes."""
    from openvino import opset13 as ops

    first, second, third, fourth = parts
    even = ops.maximum(ops.maximum(first, second), third)
    # The last tile has no next one; that output is cut off below, or was never there.
    following = ops.concat(
        [ops.slice(first, [1], [tiles], [1], [2]), ops.slice(first, [0], [1], [1], [2])], 2
    )
    odd = ops.maximum(ops.maximum(third, fourth), following)
    both = ops.concat([ops.unsqueeze(even, [3]), ops.unsqueeze(odd, [3])], 3)
    shape = list(even.output(0).shape)
    joined = ops.reshape(both, [*shape[:2], 2 * tiles, *shape[3:]], special_zero=False)
    return ops.slice(joined, [0], [count], [1], [2])
