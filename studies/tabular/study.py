"""Which family of models, and how set, tells malignant from benign tumours?

    hpo run studies/tabular/study.py
    hpo refit tabular studies/tabular/study.py:train

Three families with params of their own (a conditional space), scored by five-fold cross-validation on the
breast-cancer data of scikit-learn. ``train`` fits the winner once more, on all data but the held-out fifth.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import hpo

FOLDS = 5
SPACE = {
    "family": hpo.Categorical(["logistic", "forest", "svm"]),
    "C": hpo.Float(1e-3, 1e2, log=True, when={"family": ["logistic", "svm"]}),
    "balanced": hpo.Categorical([True, False]),
    "trees": hpo.Int(20, 200, log=True, when={"family": "forest"}),
    "max_depth": hpo.Int(2, 12, when={"family": "forest"}),
    "max_features": hpo.Float(0.1, 1.0, when={"family": "forest"}),
    "kernel": hpo.Categorical(["linear", "rbf", "poly"], when={"family": "svm"}),
    "gamma": hpo.Float(1e-4, 1e0, log=True, when={"kernel": ["rbf", "poly"]}),
    "degree": hpo.Int(2, 4, when={"kernel": "poly"}),
}


class Table(NamedTuple):
    """One row a tumour: 30 measurements, and 1 where it is benign."""

    rows: np.ndarray
    benign: np.ndarray


@cache
def tables() -> tuple[Table, Table]:
    """Give 455 tumours to search with and 114 held out."""
    rows, benign = load_breast_cancer(return_X_y=True)
    seen, held_out, seen_benign, held_out_benign = train_test_split(
        rows, benign, test_size=114, stratify=benign, random_state=0
    )
    return Table(seen, seen_benign), Table(held_out, held_out_benign)


def build(params: Mapping[str, Any], seed: int) -> Pipeline:
    """Make the untrained model that *params* describe."""
    weight = "balanced" if params["balanced"] else None
    if params["family"] == "logistic":
        model: Any = LogisticRegression(C=params["C"], class_weight=weight, max_iter=2000)
    elif params["family"] == "forest":
        model = RandomForestClassifier(
            n_estimators=params["trees"],
            max_depth=params["max_depth"],
            max_features=params["max_features"],
            class_weight=weight,
            random_state=seed,
        )
    else:
        model = SVC(
            C=params["C"],
            kernel=params["kernel"],
            gamma=params.get("gamma", "scale"),
            degree=params.get("degree", 3),
            class_weight=weight,
            random_state=seed,
        )
    return make_pipeline(StandardScaler(), model)


def scores(model: Pipeline, rows: np.ndarray) -> np.ndarray:
    """Give each row a number that is greater the more it looks benign."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(rows)[:, 1])
    return np.asarray(model.decision_function(rows))


@hpo.objective(space=SPACE, direction="maximize", metric="roc_auc", total_trials=60, pruner="median", workers=2)
def tabular(trial: hpo.Trial) -> float:
    data, _ = tables()
    trial.log_input(data.rows, name="breast cancer")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    found: list[float] = []
    right: list[float] = []
    for fold, (fit, check) in enumerate(folds.split(data.rows, data.benign), start=1):
        model = build(trial.params, trial.seed).fit(data.rows[fit], data.benign[fit])
        found.append(roc_auc_score(data.benign[check], scores(model, data.rows[check])))
        right.append(float(model.score(data.rows[check], data.benign[check])))
        trial.report(float(np.mean(found)), step=fold)
        if trial.should_prune():
            raise hpo.TrialPruned
    trial.log_metrics({"accuracy": float(np.mean(right)), "spread": float(np.std(found))})
    return float(np.mean(found))


def train(trial: hpo.Trial) -> float:
    """Fit the model of *trial* on everything but the held-out part, keep it, and return how it does there."""
    data, held_out = tables()
    model = build(trial.params, trial.seed).fit(data.rows, data.benign)
    trial.log_input(data.rows, name="breast cancer")
    trial.log_model(model, input_example=held_out.rows[:2])
    trial.log_metrics({"held_out_accuracy": float(model.score(held_out.rows, held_out.benign))})
    return float(roc_auc_score(held_out.benign, scores(model, held_out.rows)))
