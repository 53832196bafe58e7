# /// script
# dependencies = ["keras==3.15.1", "jax==0.10.2", "jaxlib==0.10.2", "numpy==2.4.6"]
# ///
"""Bidirectional classifier in Keras 3 on jax, as in its IMDB example.

The example pads every text at the front to the longest text of the data set, without a mask. This
program pads each shuffled batch to its longest text, which is faster for short texts and equal for
long ones. The length is rounded up, so that jax compiles few different shapes.
"""

import os
import time

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from handover import arguments, read_facts, read_tokens, report
from keras import layers

ROUND_TO = 32


class Batches(keras.utils.PyDataset):
    """Padded batches of a split; with `shuffle`, their order changes every epoch."""

    def __init__(self, texts: list, labels: np.ndarray, batch_size: int, shuffle: bool) -> None:
        super().__init__()
        self.texts, self.labels, self.batch_size = texts, labels, batch_size
        self.shuffle = shuffle
        self.longest = max(map(len, texts))
        self.order = np.arange(len(texts))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.texts) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        texts = [self.texts[row] for row in rows]
        length = -(-max(map(len, texts)) // ROUND_TO) * ROUND_TO
        ids = keras.utils.pad_sequences(texts, maxlen=min(length, self.longest))
        return ids, self.labels[rows]

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        if self.shuffle:
            np.random.shuffle(self.order)


class Clock(keras.callbacks.Callback):
    """Record the wall time of every epoch in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stop the clock."""
        self.seconds.append(time.perf_counter() - self.started)


def main() -> None:
    """Train, time every epoch, and evaluate once on the test split."""
    folder, cell, epochs, seed = arguments()
    facts = read_facts(folder)
    keras.utils.set_random_seed(seed)
    layer = {"lstm": layers.LSTM, "gru": layers.GRU}[cell]
    inputs = keras.Input(shape=(None,), dtype="int32")
    steps = layers.Embedding(facts["vocab_size"], facts["size"])(inputs)
    state = layers.Bidirectional(layer(facts["size"]))(steps)
    outputs = layers.Dense(facts["num_labels"], activation="softmax")(layers.Dropout(0.5)(state))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock()
    train = Batches(*read_tokens(folder, "train"), facts["batch_size"], shuffle=True)
    test = Batches(*read_tokens(folder, "test"), facts["batch_size"], shuffle=False)
    model.fit(train, epochs=epochs, callbacks=[clock], verbose=0, shuffle=False)
    _, accuracy = model.evaluate(test, verbose=0)
    report(clock.seconds, accuracy)


if __name__ == "__main__":
    main()
