import numpy as np
import pytest
import torch
from sample_datasets import simulated_frames

from deepcr_ccd.training.preview import draw_items


@pytest.fixture(scope="module")
def data():
    return simulated_frames()


def test_picture_of_items(data, tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib import image

    batch = torch.utils.data.default_collate([data[i] for i in range(3)])
    output = torch.where(batch["truth"], 9.0, -9.0)
    assert draw_items(batch, output, tmp_path / "items.png")
    whole = image.imread(tmp_path / "items.png")
    assert draw_items(batch, -output, tmp_path / "items.png")
    other = image.imread(tmp_path / "items.png")
    # The last third shows the probability; nothing else changes.
    third = len(whole) // 3
    assert np.abs(whole - other)[2 * third + 20 :].mean() > 0.3
    np.testing.assert_array_equal(whole[: 2 * third - 20], other[: 2 * third - 20])
