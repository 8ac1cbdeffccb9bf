"""A driver for the tests of this folder to kill: ``python sweep.py STORAGE TOTAL SECONDS WORKERS [LEASE]``."""

from __future__ import annotations

import sys
import time
from typing import Any

import hpo
from hpo.errors import StudyInterrupted


def main() -> int:
    """Bring the study to TOTAL trials; exit 130 where it was interrupted."""
    storage, total, seconds, workers = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    lease = float(sys.argv[5]) if len(sys.argv) > 5 else 10.0
    study = hpo.create_study(
        study_name="s", storage=storage, space={"x": hpo.Float(0, 1)}, sampler="random", load_if_exists=True
    )

    def timed(trial: Any) -> float:
        for step in range(10):
            time.sleep(seconds / 10)  # the work
            trial.report(float(step), step=step)
        return float(trial.params["x"])

    try:
        summary = study.optimize(timed, total_trials=total, workers=workers, lease_seconds=lease)
    except StudyInterrupted as exc:
        print(exc.summary.status, exc.summary.reason, flush=True)
        return 130
    print(summary.status, summary.reason, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
