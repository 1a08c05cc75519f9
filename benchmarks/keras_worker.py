"""SqueezeNet3D in Keras on TensorFlow, in a process of its own: says how long each run took.

Reads lines from standard input: ``forward`` or ``train``; answers each with seconds. TensorFlow and
PyTorch do not share threads well, so they do not share a process either.
"""

import importlib.metadata
import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow turns oneDNN on by itself only on some processors; without it, it is far slower.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np

FIRES = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
SIDE = 128


def build(side: int) -> object:
    """The paper's network, layer by layer."""
    import keras
    from keras import layers

    def conv(
        x: object, filters: int, kernel: int, strides: int = 1, activation: str | None = "relu"
    ) -> object:
        return layers.Conv3D(filters, kernel, strides, "same", activation=activation)(x)

    start = keras.Input((side, side, side, 1))
    x = layers.MaxPooling3D(3, 2)(conv(start, 96, 7, 2))
    for number, (squeeze, expand) in enumerate(FIRES, 2):
        squeezed = conv(x, squeeze, 1)
        x = layers.Concatenate()([conv(squeezed, expand, 1), conv(squeezed, expand, 3)])
        if number in (4, 8):
            x = layers.MaxPooling3D(3, 2)(x)
    x = layers.Dropout(0.9)(x)
    x = layers.GlobalAveragePooling3D()(conv(x, 2, 1, activation=None))
    return keras.Model(start, layers.Softmax()(x))


def main() -> None:
    import keras
    import tensorflow

    random = np.random.default_rng(0)
    one = tensorflow.constant(random.random((1, SIDE, SIDE, SIDE, 1), np.float32))
    four = random.random((4, SIDE, SIDE, SIDE, 1), np.float32)
    labels = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    model = build(SIDE)
    model.compile(keras.optimizers.Adam(1e-5), "binary_crossentropy")
    forward = tensorflow.function(lambda volumes: model(volumes, training=False))
    versions = {name: importlib.metadata.version(name) for name in ("keras", "tensorflow-cpu")}
    print(json.dumps({"parameters": model.count_params(), "versions": versions}), flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        if line.strip() == "forward":
            forward(one).numpy()
        else:
            model.train_on_batch(four, labels)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
