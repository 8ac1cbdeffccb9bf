"""An objective as Optuna users write it: nothing in this file knows of hpo.

hpo run studies/optuna_examples/scikit_learn.py:objective --direction maximize --trials 30
"""

import optuna
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC


def objective(trial):
    X, y = load_iris(return_X_y=True)
    name = trial.suggest_categorical("classifier", ["svc", "forest"])
    if name == "svc":
        model = SVC(C=trial.suggest_float("C", 1e-3, 1e3, log=True), gamma="auto")
    else:
        depth = trial.suggest_int("max_depth", 2, 32, log=True)
        model = RandomForestClassifier(max_depth=depth, n_estimators=10, random_state=0)
    return cross_val_score(model, X, y, cv=3).mean()


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=30)
    print(study.best_trial)
