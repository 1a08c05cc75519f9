"""Make ``keras.json``: what the identical network says in Keras. Run by hand; needs keras.

Weights are not stored: both sides draw them from one numpy generator, so the fixture is small.
"""

import json
from pathlib import Path

import numpy as np

SIZES = ((32, 32, 32), (33, 40, 47), (64, 34, 35))
FIRES = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]


def draw_weights(classes=2, seed=7):
    """Arrays by Keras name, drawn in one fixed order."""
    random = np.random.default_rng(seed)
    weights = {}

    def layer(name, size, inputs, outputs):
        scale = np.sqrt(2 / (size**3 * inputs))
        kernel = random.standard_normal((size, size, size, inputs, outputs)) * scale
        weights[f"{name}/kernel"] = kernel.astype(np.float32)
        weights[f"{name}/bias"] = (random.standard_normal(outputs) * 0.1).astype(np.float32)

    layer("conv1", 7, 1, 96)
    inputs = 96
    for number, (squeeze, expand) in enumerate(FIRES, 2):
        layer(f"fire{number}_squeeze", 1, inputs, squeeze)
        layer(f"fire{number}_expand1", 1, squeeze, expand)
        layer(f"fire{number}_expand2", 3, squeeze, expand)
        inputs = 2 * expand
    layer("conv10", 1, 512, classes)
    return weights


def draw_volume(size, seed=11):
    return np.random.default_rng(seed).random(size, np.float32)


def keras_logits(size):
    import keras
    from keras import layers

    def conv(x, name, filters, kernel, strides=1, activation="relu"):
        return layers.Conv3D(
            filters, kernel, strides=strides, padding="same", activation=activation, name=name
        )(x)

    start = x = keras.Input((*size, 1))
    x = layers.MaxPooling3D(3, 2, "valid")(conv(x, "conv1", 96, 7, strides=2))
    for number, (squeeze, expand) in enumerate(FIRES, 2):
        s = conv(x, f"fire{number}_squeeze", squeeze, 1)
        wide = [conv(s, f"fire{number}_expand{k}", expand, 2 * k - 1) for k in (1, 2)]
        x = layers.Concatenate()(wide)
        if number in (4, 8):
            x = layers.MaxPooling3D(3, 2, "valid")(x)
    x = conv(x, "conv10", 2, 1, activation=None)
    model = keras.Model(start, layers.GlobalAveragePooling3D()(x))
    weights = draw_weights()
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]])
    return model.count_params(), model.predict(draw_volume(size)[None, ..., None], verbose=0)[0]


if __name__ == "__main__":
    import keras

    rows = []
    for size in SIZES:
        count, logits = keras_logits(size)
        rows.append({"size": size, "parameters": count, "logits": [float(v) for v in logits]})
    golden = {"keras": keras.__version__, "rows": rows}
    Path(__file__).with_name("keras.json").write_text(json.dumps(golden, indent=1) + "\n")
