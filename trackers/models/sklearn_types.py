"""The types of scikit-learn and NumPy that we let skops make although its own list leaves them out.

Every entry was read: making one from a file sets numbers, arrays, text and other listed objects on it, or looks up a
function that computes numbers from arrays; none imports, opens or runs anything that a file could choose. The trees
and neighbour trees index memory by numbers from the file: ``sklearn_trees`` checks those before anyone predicts.
The list lives here, with the loader; an artifact cannot add to it. ``trust=["mypkg.MyType"]`` can, for one call.
"""

from __future__ import annotations

_BY_MODULE: dict[str, tuple[str, ...]] = {
    "builtins": ("object",),
    "collections": ("OrderedDict",),
    "functools": ("partial",),  # of a listed function: skops checks what is inside
    "numpy": ("dtype", "mean", "median", "log1p", "expm1"),
    "sklearn._loss.loss": ("HalfTweedieLoss", "HalfTweedieLossIdentity"),
    "sklearn.calibration": ("_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling"),
    "sklearn.cluster._bisect_k_means": ("_BisectingTree",),
    "sklearn.cluster._kmeans": ("_kmeans_single_elkan", "_kmeans_single_lloyd"),
    "sklearn.compose._column_transformer": ("make_column_selector",),
    "sklearn.ensemble._hist_gradient_boosting.predictor": ("TreePredictor",),
    "sklearn.feature_selection._mutual_info": ("mutual_info_classif", "mutual_info_regression"),
    "sklearn.feature_selection._univariate_selection": (
        "chi2",
        "f_classif",
        "f_oneway",
        "f_regression",
        "r_regression",
    ),
    "sklearn.gaussian_process._gpc": ("_BinaryGaussianProcessClassifierLaplace",),
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel",
        "ConstantKernel",
        "DotProduct",
        "ExpSineSquared",
        "Exponentiation",
        "Matern",
        "Product",
        "RBF",
        "RationalQuadratic",
        "Sum",
        "WhiteKernel",
    ),
    "sklearn.metrics._classification": (
        "accuracy_score",
        "balanced_accuracy_score",
        "brier_score_loss",
        "cohen_kappa_score",
        "f1_score",
        "log_loss",
        "matthews_corrcoef",
        "precision_score",
        "recall_score",
    ),
    # The plain distances; those with weights read a second array whose length nothing checks.
    "sklearn.metrics._dist_metrics": (
        "ChebyshevDistance",
        "ChebyshevDistance64",
        "EuclideanDistance",
        "EuclideanDistance64",
        "ManhattanDistance",
        "ManhattanDistance64",
    ),
    "sklearn.metrics._ranking": ("average_precision_score", "roc_auc_score"),
    "sklearn.metrics._regression": (
        "explained_variance_score",
        "max_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_error",
        "median_absolute_error",
        "r2_score",
        "root_mean_squared_error",
    ),
    "sklearn.metrics._scorer": ("_PassthroughScorer", "_Scorer"),
    "sklearn.model_selection._split": (
        "GroupKFold",
        "KFold",
        "LeaveOneOut",
        "RepeatedKFold",
        "RepeatedStratifiedKFold",
        "ShuffleSplit",
        "StratifiedKFold",
        "StratifiedShuffleSplit",
        "TimeSeriesSplit",
    ),
    "sklearn.neighbors._ball_tree": ("BallTree",),
    "sklearn.neighbors._kd_tree": ("KDTree",),
    "sklearn.neural_network._stochastic_optimizers": ("AdamOptimizer", "SGDOptimizer"),
    "sklearn.tree._tree": ("Tree",),
    "sklearn.utils._bunch": ("Bunch",),
    "sklearn.utils.validation": ("check_array",),
}

KNOWN_TYPES = frozenset(f"{module}.{name}" for module, names in _BY_MODULE.items() for name in names)
"""Full names, as skops reports them."""
