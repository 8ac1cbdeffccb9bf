"""Read the digits on images with a registered model: what production does.

    python studies/digits/predict.py sqlite:///hpo.db models:/digits@production held_out.npz

It knows the store and the model's name, not the study: nothing of the training code is imported.
"""

from __future__ import annotations

import sys

import numpy as np

import trackers


def main(storage: str, reference: str, images: str) -> None:
    data = np.load(images)
    with trackers.connect(storage, create=False) as store:
        model = trackers.load_model(reference, store=store)
    read = model.predict(data["images"])
    training = {name for name in sys.modules if name.partition(".")[0] in ("hpo", "studies", "study")}
    assert not training, f"training code was imported: {sorted(training)}"
    right = int(np.sum(read == data["digits"]))
    print(f"{reference} read {right} of {len(read)} held-out images right: accuracy {right / len(read):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
