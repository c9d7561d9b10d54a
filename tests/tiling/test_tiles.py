import numpy as np
import pytest
import torch
from conftest import random_model

from deepcr_ccd import cosmicray_probability
from deepcr_ccd.tiling.run import map_tiles, track
from deepcr_ccd.tiling.tiles import plan_tiles, read_tile


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (33, 50), (64, 64)])
@pytest.mark.parametrize("tile_size", [1, 5, 16, 1000])
@pytest.mark.parametrize(("halo", "stride"), [(8, 2), (20, 4), (2, 1)])
@pytest.mark.parametrize("reflect", [True, False])
def test_cores_cover_every_pixel_once(shape, tile_size, halo, stride, reflect):
    count = np.zeros(shape, dtype=int)
    for tile in plan_tiles(shape, tile_size, halo=halo, stride=stride, reflect=reflect):
        count[tile.write] += 1
        for (start, stop), size, write, crop in zip(
            tile.read, shape, tile.write, tile.crop, strict=True
        ):
            assert (stop - start) % stride == 0
            # The pooling grid is the same for every tile: it ends with the frame.
            assert (size - start) % stride == 0
            assert crop.start + start == write.start
            if reflect:
                assert write.start - start >= halo
                assert stop - write.stop >= halo
            else:
                assert write.start - start >= min(halo, write.start)
                assert start > -stride
                assert stop - write.stop >= min(halo, size - write.stop)
                assert stop <= size
    assert (count == 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 12), (40, 40)])
def test_edges_are_reflected(shape, rng):
    frame = rng.normal(size=shape)
    padded = np.pad(frame, 30, mode="reflect")
    for tile in plan_tiles(shape, 8, halo=9, stride=2):
        (y0, y1), (x0, x1) = tile.read
        expected = padded[y0 + 30 : y1 + 30, x0 + 30 : x1 + 30]
        np.testing.assert_array_equal(read_tile(frame, tile), expected)


def test_tiles_inside_are_views(rng):
    frame = rng.normal(size=(200, 200))
    tiles = plan_tiles(frame.shape, 32, halo=9, stride=2)
    inside = [t for t in tiles if np.shares_memory(read_tile(frame, t), frame)]
    # The first tile and the last two of the seven along each axis reach an edge.
    assert len(inside) == 4**2


def test_map_tiles_writes_what_the_function_returns(rng):
    frame = rng.normal(size=(37, 41))
    tiles = plan_tiles(frame.shape, 10, halo=2, stride=1)
    out = np.empty_like(frame)
    map_tiles(lambda _, a, b: a + b, [frame, frame], out, tiles)
    np.testing.assert_array_equal(out, 2 * frame)


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (31, 2), (67, 75), (64, 80)])
@pytest.mark.parametrize("transform", ["scaled", "noise"])
def test_tiled_equals_whole(levels, shape, transform, rng):
    model = random_model(levels=levels, seed=levels, transform=transform)
    frame = rng.normal(0, 3, shape)
    whole = cosmicray_probability(frame, model=model, tile_size=512)
    assert np.ptp(whole) > 0 or whole.size < 3
    for tile_size in (1 if whole.size < 100 else 7, 16, 33):
        tiled = cosmicray_probability(frame, model=model, tile_size=tile_size)
        np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-6)


def test_beyond_the_frame_there_is_background(rng):
    # In units of the noise, that is; others go on by reflection.
    model = random_model(transform="noise")
    frame = rng.normal(0, 3, (24, 40)).astype(np.float32)
    numbers = model.prepare(frame)(frame)[np.newaxis, np.newaxis]
    with torch.inference_mode():
        expected = model.network(torch.from_numpy(numbers)).sigmoid()[0, 0]
    np.testing.assert_allclose(model.probability(frame), expected, atol=1e-6)


def test_progress_shows_a_bar(capsys):
    assert list(track([1, 2], "frames", True)) == [1, 2]
    assert "frames" in capsys.readouterr().err


def test_notebooks_have_their_own_bar(monkeypatch):
    # tqdm.auto is a widget in notebooks, and text elsewhere.
    bars = []

    def bar(items, **options):
        bars.append(options)
        return items

    monkeypatch.setattr("tqdm.auto.tqdm", bar)
    assert list(track([1, 2], "frames", True)) == [1, 2]
    assert list(track([1, 2], "frames", False)) == [1, 2]
    assert bars == [{"desc": "frames", "total": None}]


def test_progress_without_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"deepcr_ccd\[plot\]"):
        track([1], "frames", True)
