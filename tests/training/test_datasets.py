import numpy as np
import pytest
import torch
from sample_datasets import simulated_frames

from deepcr_ccd.training.datasets import LabelledFrames, MixedFrames, SimulatedFrames


@pytest.fixture(scope="module")
def data():
    return simulated_frames()


def test_items_depend_on_seed_and_number_alone(data):
    loaders = [
        torch.utils.data.DataLoader(data, 4, sampler=range(8, 24), num_workers=n)
        for n in (0, 2)
    ]
    for one, two in zip(*loaders, strict=True):
        for key in one:
            assert torch.equal(one[key], two[key])
    item = data[8]
    assert item["frame"].shape == (1, 48, 48)
    assert not (item["truth"] & item["ignore"]).any()
    assert not torch.equal(item["frame"], data[9]["frame"])


def test_flagged_pixels_stand_out(data):
    inside, outside = [], []
    for i in range(40):
        item = data[i]
        inside.append(item["frame"][0][item["truth"]])
        outside.append(item["frame"][0][~item["truth"] & ~item["ignore"]])
    assert torch.cat(inside).median() > 1.5
    assert abs(torch.cat(outside).median()) < 0.3


def test_size_must_fit_the_scenes(data):
    with pytest.raises(ValueError, match="size=100 is more than scenes have"):
        SimulatedFrames(data.camera.scenes, data.camera.deposits, length=1, size=100)


def test_crops_of_labelled_frames(rng):
    frame = rng.normal(100, 5, (70, 90))
    truth = np.zeros(frame.shape, dtype=bool)
    truth[60, 80] = True
    frame[60, 80] = 5000
    ignore = np.zeros_like(truth)
    data = LabelledFrames([(frame, truth, ignore)], length=60, size=32, seed=1)
    items = [data[i] for i in range(60)]
    assert sum(bool(item["truth"].any()) for item in items) >= 25
    for item in items:
        assert item["frame"].shape == (1, 32, 32)
        assert (item["frame"][0][item["truth"]] > 5).all()
    assert torch.equal(data[7]["frame"], items[7]["frame"])
    with pytest.raises(ValueError, match=r"frames\[0\] has shape \(70, 90\)"):
        LabelledFrames([(frame, truth, ignore)], length=1, size=80)
    with pytest.raises(ValueError, match="one or more"):
        LabelledFrames([], length=1)


def test_mixture_draws_in_fractions_and_by_number():
    class Constant(torch.utils.data.Dataset):
        def __init__(self, value):
            self.value = value

        def __len__(self):
            return 1000

        def __getitem__(self, index):
            return self.value

    mixed = MixedFrames([Constant(0), Constant(1)], [3, 1], length=1000, seed=2)
    drawn = [mixed[i] for i in range(len(mixed))]
    assert 0.2 < np.mean(drawn) < 0.3
    assert [mixed[i] for i in reversed(range(1000))] == drawn[::-1]
    with pytest.raises(ValueError, match="fractions must be one for each"):
        MixedFrames([Constant(0)], [1, 2], length=10)
    with pytest.raises(ValueError, match=r"datasets\[0\] has 1000 items"):
        MixedFrames([Constant(0)], [1], length=1001)
