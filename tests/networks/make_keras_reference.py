"""Write ``keras_classifier.npz``: weights, a clip and all outputs of a ConvLSTM2D stack in Keras.

Run by hand, with Keras 3 installed beside torch: ``KERAS_BACKEND=torch python THIS_FILE``. Keras 3
has another hard sigmoid than Keras 2, in which the classifier of the blog series was written; the
layers get that of Keras 2, 0.2 x + 0.5 within 0…1, as a function.
"""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

FILE = Path(__file__).with_name("keras_classifier.npz")


def hard_sigmoid(x):
    """That of Keras 2."""
    return keras.ops.clip(0.2 * x + 0.5, 0, 1)


def make() -> dict[str, np.ndarray]:
    keras.utils.set_random_seed(0)
    options = {"kernel_size": 3, "use_bias": False, "recurrent_activation": hard_sigmoid}
    model = keras.Sequential(
        [
            keras.Input((4, 14, 16, 4)),  # frames, rows, columns, channels
            keras.layers.ConvLSTM2D(16, return_sequences=True, **options),
            keras.layers.TimeDistributed(keras.layers.MaxPooling2D(2)),
            keras.layers.TimeDistributed(keras.layers.BatchNormalization()),
            keras.layers.ConvLSTM2D(32, return_sequences=False, **options),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:  # no weight may stay at 0 or 1, where a mistake would not show
        drawn = [0.5 * rng.standard_normal(w.shape) for w in layer.get_weights()]
        if isinstance(layer, keras.layers.TimeDistributed) and drawn:
            drawn[3] = np.exp(drawn[3])  # the variance
        layer.set_weights([w.astype("f2").astype("f4") for w in drawn])  # half the size on disk

    clips = rng.random((2, 4, 14, 16, 4)).astype("f2").astype("f4")
    clips[1] = (clips[1] > 0.9) * 1.0  # a dry one
    lower, upper = (keras.Model(model.inputs, model.layers[k].output) for k in (0, 3))
    arrays = {"clips": clips.astype("f2"), "answer": model.predict(clips)}
    arrays |= {"lower": lower.predict(clips)[:, -1], "upper": upper.predict(clips)}
    names = [w.path for layer in model.layers for w in layer.weights]
    values = [w for layer in model.layers for w in layer.get_weights()]
    print(*(f"{n} {v.shape}" for n, v in zip(names, values, strict=True)), sep="\n")
    return arrays | {f"weight{k}": value.astype("f2") for k, value in enumerate(values)}


if __name__ == "__main__":
    arrays = make()
    np.savez_compressed(FILE, keras=keras.__version__, **arrays)
    print(FILE, FILE.stat().st_size, "bytes; answers", arrays["answer"].ravel())
