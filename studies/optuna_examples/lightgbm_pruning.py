"""LightGBM with the pruning callback of optuna-integration. Nothing in this file knows of hpo.

hpo run studies/optuna_examples/lightgbm_pruning.py:objective --direction maximize --trials 30 --pruner median
"""

import lightgbm as lgb
import optuna
from optuna_integration import LightGBMPruningCallback
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split


def objective(trial):
    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_valid, y_train, y_valid = train_test_split(X, y, test_size=0.25, random_state=0)
    params = {
        "objective": "binary",
        "metric": "auc",
        "verbosity": -1,
        "num_threads": 1,
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 0.3, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 2, 64),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-8, 10.0, log=True),
    }
    booster = lgb.train(
        params,
        lgb.Dataset(X_train, label=y_train),
        num_boost_round=60,
        valid_sets=[lgb.Dataset(X_valid, label=y_valid)],
        callbacks=[LightGBMPruningCallback(trial, "auc")],
    )
    return roc_auc_score(y_valid, booster.predict(X_valid))


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_warmup_steps=10))
    study.optimize(objective, n_trials=30)
    print(study.best_trial)
