"""The models of this package are listed, and loaded by their names."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from deepcr_ccd import list_models, load_model

DISTRIBUTION = "deepcr-ccd-mycam"
FILES = [
    Path(str(file.locate()))
    for file in metadata.distribution(DISTRIBUTION).files or ()
    if file.suffix == ".safetensors"
]


def test_there_are_models():
    assert FILES, "put model files into the folder of models, and install the package"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_model_is_listed_loaded_and_run(path):
    by_path = load_model(path, device="cpu", precision="float32", engine="torch")
    card = by_path.card
    assert card.license, "fill in the licence of the card"
    assert card.name in list_models(source="plugin")["name"]
    model = load_model(card.name, device="cpu", precision="float32", engine="torch")
    assert model.fingerprint == by_path.fingerprint
    frame = np.random.default_rng(1).normal(100, 10, (64, 64)).astype(np.float32)
    if card.task == "mask":
        probability = model.probability(frame)
        assert probability.shape == frame.shape
        assert np.isfinite(probability).all()
    found = model.verify()
    assert found.passed, str(found)
