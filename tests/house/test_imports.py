"""Each heavy library has one home, and nothing heavy loads before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOMES = {
    "ray": ("hpo/execution/ray/",),
    "mlflow": ("trackers/interop/mlflow/", "trackers/models/mlflow_folder.py"),
    "optuna": ("hpo/sampling/", "trackers/interop/optuna/"),
    "sqlalchemy": ("trackers/sql/", "trackers/interop/source.py"),
    "alembic": ("trackers/sql/",),
    "matplotlib": ("hpo/reports/",),
    "click": ("hpo/cli/", "trackers/cli/"),
    "sklearn": ("trackers/models/", "trackers/capture/", "trackers/autologging/"),
    "skops": ("trackers/models/",),
    "xgboost": ("trackers/models/", "trackers/autologging/"),
    "onnxruntime": ("trackers/models/",),
    "safetensors": ("trackers/models/",),
    "keras": ("trackers/models/",),
    "yaml": ("trackers/models/", "trackers/recorder.py"),
}


def imports(tree: ast.AST) -> set[str]:
    """Return the top-level packages that run-time imports of *tree* name (those for type checking are free)."""
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(inner for stmt in node.body for inner in ast.walk(stmt))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Return what each of our files imports, by its name."""
    files = [path for package in ("hpo", "trackers") for path in (ROOT / package).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): imports(ast.parse(path.read_text())) for path in files}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_has_one_home(library: str, imported: dict[str, set[str]]) -> None:
    strays = [name for name, found in imported.items() if library in found and not name.startswith(HOMES[library])]
    assert not strays, f"{library} is imported outside its home: {strays}"


@pytest.mark.parametrize("package", ["hpo", "trackers"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print(' '.join(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"ray", "optuna", "sqlalchemy", "matplotlib", "numpy", "pandas", "alembic", "click", "rich"}
    assert not heavy & set(loaded)


def test_a_worker_needs_neither_optuna_nor_a_database() -> None:
    code = (
        "import sys, hpo.execution.worker, hpo.execution.ray.worker, hpo.sampling.rules, hpo.trial; "
        "print(' '.join(sorted(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"optuna", "sqlalchemy", "alembic", "matplotlib"} & set(loaded)
