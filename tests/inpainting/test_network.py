from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sample_files import make_stars

from deepcr_ccd.inpainting import network
from deepcr_ccd.inpainting.feature_layout import PROFILE_SIZE, feature_layout
from deepcr_ccd.inpainting.features import compute_features, normalize_cutouts
from deepcr_ccd.inpainting.network import fill_cutouts, map_cutouts
from deepcr_ccd.inpainting.pixel_flags import PixelFlag, flag_pixels


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("block", [17, 1024])
def test_cutouts_come_out_in_order(rng, threads, block, monkeypatch):
    monkeypatch.setattr(network, "BLOCK_SIZE", block)
    data = rng.normal(size=(60, 50)).astype(np.float32)
    targets = rng.random(data.shape) < 0.1
    every = np.full(data.shape, PixelFlag.GOOD, dtype=np.uint8)

    def centre(values, flags, blocks, member):
        assert (flags == PixelFlag.GOOD).any()
        assert member.shape == (len(values),)
        assert set(member) == set(range(len(blocks)))
        assert blocks[0].stars.profile.shape == (PROFILE_SIZE,)
        middle = values[:, values.shape[1] // 2]
        return np.stack([middle, -middle], axis=1)

    known = centre, data, every, targets, 2, 2
    if threads:
        with ThreadPoolExecutor(threads) as pool:
            out = map_cutouts(*known, pool.map, tasks=7)
    else:
        out = map_cutouts(*known)
    np.testing.assert_array_equal(out, np.stack([data[targets], -data[targets]], 1))


def test_stars_are_those_of_the_block(monkeypatch):
    """In a piece of a frame that holds a block whole, they are as in the frame."""
    monkeypatch.setattr(network, "BLOCK_SIZE", 40)
    data = make_stars((130, 90), fwhm=2)
    data[:, 40:] = make_stars((130, 90), fwhm=4)[:, 40:]
    flags = np.full(data.shape, PixelFlag.GOOD, dtype=np.uint8)
    targets = np.zeros(data.shape, dtype=bool)
    targets[[20, 60, 60, 100], [20, 20, 60, 85]] = True
    flags[targets] = PixelFlag.CR

    def profile(values, flags, blocks, member):  # noqa: ARG001
        return np.stack([blocks[number].stars.profile[:2] for number in member])

    whole = map_cutouts(profile, data, flags, targets, 2, 2)
    assert len(np.unique(whole[:, 0])) == 4
    piece = np.s_[40:, 40:]
    part = map_cutouts(
        profile, data[piece], flags[piece], targets[piece], 2, 2, origin=(40, 40)
    )
    np.testing.assert_array_equal(part, whole[2:])


@pytest.mark.parametrize(("probability", "n_runs"), [(0.01, 1), (0.5, 2)])
def test_fills_are_in_the_unit_of_the_frame(probability, n_runs):
    """Where the pixel may be far above its fill, the network runs once more."""
    data = make_stars((60, 50), 2.5)
    targets = np.zeros(data.shape, dtype=bool)
    targets[[5, 20, 41], [7, 33, 0]] = True
    bad = np.zeros_like(targets)
    bad[38:45, :4] = True
    bad[targets] = False
    runs = []

    def run(features):
        runs.append(features.shape)
        answer = np.array([2, 1, probability], dtype=np.float32)
        return np.tile(answer, (len(features), 1))

    fill, least = fill_cutouts(
        data,
        targets,
        flag_pixels(targets, bad, targets),
        run=run,
        prepare=compute_features,
        radius=3,
        device=torch.device("cpu"),
    )
    assert runs == [(3, feature_layout(3).size)] * n_runs
    # The last one has fewer than eight good pixels around it.
    np.testing.assert_array_equal(np.isnan(fill), [False, False, True])
    for place, (row, column) in enumerate([(5, 7), (20, 33)]):
        around = data[row - 3 : row + 4, column - 3 : column + 4].reshape(1, -1)
        good = np.arange(49).reshape(1, -1) != 24
        _, mean, spread = normalize_cutouts(np.where(good, around, 0), good)
        np.testing.assert_allclose(fill[place], mean + 2 * spread, rtol=1e-5)
        np.testing.assert_allclose(least[place], mean + spread, rtol=1e-5)


@pytest.mark.parametrize(
    ("number", "threads", "calls"),
    [(0, 2, 0), (9, 2, 1), (1100, 1, 1), (1100, 2, 2), (20000, 1, 3), (20000, 4, 4)],
)
def test_the_network_is_called_a_few_times(number, threads, calls, monkeypatch):
    """Threads share what pays to be shared, and memory is bounded."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(network, "tile_threads", lambda *_: nullcontext(map))
    targets = np.zeros((150, 160), dtype=bool)
    targets.flat[:number] = True
    called = []

    def run(features):
        called.append(len(features))
        return np.zeros((len(features), 3), dtype=np.float32)

    fill, _ = fill_cutouts(
        np.zeros(targets.shape, dtype=np.float32),
        targets,
        flag_pixels(targets, None, targets),
        run=run,
        prepare=compute_features,
        radius=1,
        device=torch.device("cpu"),
    )
    assert fill.shape == (number,)
    assert len(called) == calls
    assert sum(called) == number


def test_only_some_blocks_have_unsure_pixels(monkeypatch):
    """Their features are as if each block were alone."""
    monkeypatch.setattr(network, "BLOCK_SIZE", 40)
    data = make_stars((40, 120), fwhm=3)
    targets = np.zeros(data.shape, dtype=bool)
    targets[20, [20, 60, 100]] = True
    flags = flag_pixels(targets, None, targets)

    def refined(part, unsure):
        given = []

        def run(features):
            given.append(features.copy())
            answers = np.zeros((len(features), 3), dtype=np.float32)
            answers[:, 2] = unsure[: len(features)]
            return answers

        how = {"prepare": compute_features, "radius": 4, "device": torch.device("cpu")}
        planes = data[:, part], targets[:, part], flags[:, part]
        fill_cutouts(*planes, run=run, **how)
        return given[-1]

    together = refined(slice(None), [1, 0, 1])
    assert together.shape == (2, feature_layout(4).size)
    for features, start in zip(together, (0, 80), strict=True):
        alone = refined(slice(start, start + 40), [1])
        np.testing.assert_allclose(features, alone[0], rtol=1e-4, atol=1e-4)
