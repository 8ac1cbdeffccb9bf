"""Which small network reads handwritten digits best?

    hpo run studies/digits/study.py

An MLP is trained by epochs on scikit-learn's digits (1797 images of 8 x 8 pixels). Each epoch is reported, so that
hopeless trials stop early, and the model of the best epoch is kept. The held-out part is not touched in here.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

import hpo

EPOCHS = 27
SPLIT_SEED = 0
SPACE = {
    "learning_rate": hpo.Float(1e-4, 1e-1, log=True),
    "alpha": hpo.Float(1e-6, 1e-1, log=True),
    "layers": hpo.Int(1, 3),
    "width": hpo.Int(16, 256, log=True),
    "batch_size": hpo.Categorical([16, 32, 64]),
    "activation": hpo.Categorical(["relu", "tanh"]),
    "shifted": hpo.Float(0.0, 0.8),
    "optimizer": hpo.Categorical(["adam", "sgd"]),
    "momentum": hpo.Float(0.0, 0.99, when={"optimizer": "sgd"}),
}


class Part(NamedTuple):
    """Images as rows of 64 pixels (0 to 16), and the digit on each."""

    images: np.ndarray
    digits: np.ndarray


class Parts(NamedTuple):
    train: Part
    validation: Part
    held_out: Part


@cache
def parts(seed: int = SPLIT_SEED) -> Parts:
    """Split the data: 1077 images to train on, 360 to choose by, 360 held out; a worker does it once."""
    images, digits = load_digits(return_X_y=True)
    seen, held_out, seen_digits, held_out_digits = train_test_split(
        images, digits, test_size=360, stratify=digits, random_state=seed
    )
    train, validation, train_digits, validation_digits = train_test_split(
        seen, seen_digits, test_size=360, stratify=seen_digits, random_state=seed
    )
    return Parts(Part(train, train_digits), Part(validation, validation_digits), Part(held_out, held_out_digits))


def shift(images: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Move a *share* of the images by one pixel in a random direction; what leaves on one side is lost."""
    square = images.reshape(-1, 8, 8).copy()
    for which in np.flatnonzero(random.random(len(square)) < share):
        down, right = random.integers(-1, 2, size=2)
        padded = np.pad(square[which], 1)
        square[which] = padded[1 + down : 9 + down, 1 + right : 9 + right]
    return square.reshape(-1, 64)


def network(params: dict[str, object], seed: int) -> MLPClassifier:
    return MLPClassifier(
        hidden_layer_sizes=(params["width"],) * params["layers"],
        activation=params["activation"],
        solver=params["optimizer"],
        learning_rate_init=params["learning_rate"],
        alpha=params["alpha"],
        batch_size=params["batch_size"],
        momentum=params.get("momentum", 0.0),
        random_state=seed,
    )


@hpo.objective(
    space=SPACE, direction="maximize", metric="accuracy", total_trials=64, pruner="asha", workers=2, sampler="tpe"
)
def digits(trial: hpo.Trial) -> float:
    train, validation, _ = parts()
    trial.log_input(train.images, name="train images")
    trial.log_input(validation.images, name="validation images", role="validation")
    random = np.random.default_rng(trial.seed)
    scale = MinMaxScaler().fit(train.images)
    mlp = network(trial.params, trial.seed)
    model = Pipeline([("scale", scale), ("mlp", mlp)])
    best = 0.0
    for epoch in range(1, EPOCHS + 1):
        images = shift(train.images, trial.params["shifted"], random)
        mlp.partial_fit(scale.transform(images), train.digits, classes=np.arange(10))
        chances = model.predict_proba(validation.images)
        accuracy = float(np.mean(chances.argmax(axis=1) == validation.digits))
        best = max(best, accuracy)
        trial.report(accuracy, step=epoch)
        trial.log_metrics(
            {"train_loss": mlp.loss_, "validation_loss": log_loss(validation.digits, chances)}, step=epoch
        )
        trial.log_model(model, input_example=validation.images[:2])
        if trial.should_prune():
            raise hpo.TrialPruned
    return best
