"""The real client of MLflow, opened quietly; what it raises is said in a sentence."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from trackers.errors import InvalidValueError, NotFoundError, StoreError
from trackers.interop.source import check_source, check_target, knock
from trackers.wording import without_credentials

_DATABASES = (".db", ".sqlite", ".sqlite3")
_FILE_STORE = "MLFLOW_ALLOW_FILE_STORE"


@contextmanager
def open_client(uri: str, *, create: bool) -> Iterator[Any]:
    """Yield an ``MlflowClient`` of *uri*: a database, a server, or the folder of a file store.

    A database or folder that is not there is made only with *create*. Raises InvalidValueError where mlflow is not
    installed or refuses the URI, NotFoundError for what is not there, StoreError for what cannot be reached.
    """
    if create:
        _check_no_file(uri)
        check_target(uri, "MLflow", safe(uri))
    else:
        _check_there(uri)
        check_source(uri, "MLflow", safe(uri))
    knock(uri, safe(uri))
    with _quiet(), _environment(), ExitStack() as stack:
        try:
            import mlflow
            from mlflow.exceptions import MlflowException
        except ImportError as exc:
            raise InvalidValueError(
                "mlflow is not installed: pip install 'hpo[mlflow]' (or mlflow-skinny; PostgreSQL needs psycopg too)"
            ) from exc
        try:
            stack.enter_context(_current(mlflow, uri))
            client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
        except ImportError as exc:
            raise InvalidValueError(f"{safe(uri)} needs a driver that is not installed: {exc}") from exc
        except MlflowException as exc:
            raise StoreError(f"MLflow cannot open {safe(uri)}: {first_line(exc)}") from exc
        except Exception as exc:
            raise StoreError(f"{safe(uri)} cannot be read: {first_line(exc)}") from exc
        try:
            yield client
        finally:
            _dispose(client)


def safe(uri: str) -> str:
    """Return a URI to show: its user and password are left out."""
    return without_credentials(uri)


def first_line(exc: BaseException) -> str:
    """Return what an error says, on one line and without a password."""
    lines = str(exc).strip().splitlines()
    return " ".join(map(safe, lines[0][:300].split(" "))) if lines else type(exc).__name__


def pages(call: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield the pages that *call* returns, each with the token of the one before."""
    token: str | None = None
    while True:
        page = call(token)
        yield page
        token = getattr(page, "token", None)
        if not token:
            return


def _check_there(uri: str) -> None:
    """Refuse a file or folder that is not there: MLflow would make an empty one."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "sqlite":
        path = rest.removeprefix("/").partition("?")[0]
        if path and path != ":memory:" and not os.path.isfile(path):
            raise NotFoundError(
                f"there is no file {path}: give the URL of MLflow's database, such as sqlite:///mlflow.db"
            )
    elif not separator or scheme == "file":
        _check_no_file(uri)
        path = rest if separator else uri
        if not os.path.isdir(path):
            raise NotFoundError(
                f"there is no folder {path}: give a tracking URI of MLflow, such as sqlite:///mlflow.db"
            )
        if not any(os.path.isfile(os.path.join(one.path, "meta.yaml")) for one in os.scandir(path)):
            raise InvalidValueError(
                f"{path} holds no experiment of MLflow: where it has the files of a database of MLflow, give the URL of "
                "that, such as sqlite:///mlflow.db"
            )


def _check_no_file(uri: str) -> None:
    """Refuse the path of a file, or of one to be, where MLflow would make a folder: a database goes by its URL."""
    scheme, separator, rest = uri.partition("://")
    path = rest if separator else uri
    if separator and scheme != "file":
        return
    if os.path.isfile(path):
        raise InvalidValueError(f"{path} is a file: write sqlite:///{path} for a database of MLflow")
    if path.lower().endswith(_DATABASES) and not os.path.exists(path):
        raise InvalidValueError(
            f"there is no folder {path}, and the name is a database's: write sqlite:///{path} for one of MLflow"
        )


@contextmanager
def _environment() -> Iterator[None]:
    """Let MLflow open the folders that it has stopped to write to by default, and show no progress of its own."""
    wanted = {
        _FILE_STORE: "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    touched = (*wanted, "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ.get(name) for name in touched}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)


@contextmanager
def _current(mlflow: Any, uri: str) -> Iterator[None]:
    """Make *uri* the process's own inside the block: parts of MLflow ask for that one, whatever the client's is."""
    from mlflow.tracking._model_registry import utils as registry

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    registry_before = getattr(registry, "_registry_uri", None)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(registry_before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's and Alembic's own lines off the terminal inside the block."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _dispose(client: Any) -> None:
    """Close the connections of stores that MLflow keeps for the life of the process."""
    registry = getattr(client, "_get_registry_client", None)
    for owner in (client._tracking_client, registry() if registry else None):
        engine = getattr(getattr(owner, "store", None), "engine", None)
        if engine is not None:
            engine.dispose()
