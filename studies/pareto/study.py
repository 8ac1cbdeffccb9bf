"""What does accuracy cost in prediction time and in size?

    hpo run studies/pareto/study.py

Four kinds of classifiers on scikit-learn's digits, judged by three numbers at once: accuracy on images they have not
seen, microseconds to read one image, kilobytes of the stored model. There is no single winner but a front.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.tree import DecisionTreeClassifier

import hpo

SPACE = {
    "family": hpo.Categorical(["logistic", "tree", "forest", "neighbours"]),
    "C": hpo.Float(1e-3, 1e2, log=True, when={"family": "logistic"}),
    "max_depth": hpo.Int(3, 14, when={"family": ["tree", "forest"]}),
    "trees": hpo.Int(3, 150, log=True, when={"family": "forest"}),
    "neighbours": hpo.Int(1, 9, when={"family": "neighbours"}),
    "kept": hpo.Float(0.1, 1.0, when={"family": "neighbours"}),
}
REPEATS = 7


@cache
def parts() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split the images: 1257 to train on, 540 to judge by."""
    images, digits = load_digits(return_X_y=True)
    train, check, train_digits, check_digits = train_test_split(
        images, digits, test_size=540, stratify=digits, random_state=0
    )
    return train, train_digits, check, check_digits


def build(params: Mapping[str, Any], seed: int) -> Any:
    family = params["family"]
    if family == "logistic":
        return make_pipeline(MinMaxScaler(), LogisticRegression(C=params["C"], max_iter=500))
    if family == "tree":
        return DecisionTreeClassifier(max_depth=params["max_depth"], random_state=seed)
    if family == "forest":
        return RandomForestClassifier(n_estimators=params["trees"], max_depth=params["max_depth"], random_state=seed)
    return KNeighborsClassifier(n_neighbors=params["neighbours"])


def microseconds(model: Any, images: np.ndarray) -> float:
    """Time one image, in microseconds: the fastest of some rounds over all of them, which neighbours disturb least."""
    rounds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        model.predict(images)
        rounds.append(time.perf_counter() - start)
    return min(rounds) / len(images) * 1e6


@hpo.objective(
    space=SPACE,
    directions=["maximize", "minimize", "minimize"],
    metrics=["accuracy", "microseconds", "kilobytes"],
    total_trials=80,
    keep_models=20,
    workers=2,
)
def pareto(trial: hpo.Trial) -> tuple[float, float, float]:
    train, train_digits, check, check_digits = parts()
    trial.log_input(train, name="train images")
    kept = round(len(train) * trial.params.get("kept", 1.0))
    model = build(trial.params, trial.seed).fit(train[:kept], train_digits[:kept])
    trial.log_model(model)
    return (
        float(model.score(check, check_digits)),
        microseconds(model, check),
        len(pickle.dumps(model)) / 1024,
    )
