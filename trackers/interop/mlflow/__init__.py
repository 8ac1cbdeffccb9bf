"""MLflow's experiments, runs and registered models, copied into a store and out of it, with the real client.

``import_mlflow`` and ``export_mlflow``; see docs/design/0019-mlflow.md for why it is a copy.
"""

from trackers.interop.mlflow.exporting import export_mlflow as export_mlflow
from trackers.interop.mlflow.importing import import_mlflow as import_mlflow
from trackers.interop.outcome import Exported as Exported
from trackers.interop.outcome import Imported as Imported
