"""Pruning as Optuna users write it: report, should_prune, TrialPruned. Nothing in this file knows of hpo.

hpo run studies/optuna_examples/pruning.py:objective --direction maximize --trials 30 --pruner median
"""

import optuna
from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split


def objective(trial):
    X, y = load_iris(return_X_y=True)
    X_train, X_valid, y_train, y_valid = train_test_split(X, y, test_size=0.25, random_state=0)
    model = SGDClassifier(alpha=trial.suggest_float("alpha", 1e-5, 1e-1, log=True), random_state=trial.number)
    for step in range(50):
        model.partial_fit(X_train, y_train, classes=[0, 1, 2])
        score = model.score(X_valid, y_valid)
        trial.report(score, step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return score


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=30)
    print(study.best_trial)
