"""Chunks that are mostly margin are read together; the user's chunks come back."""

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability
from deepcr_ccd.demo import simulate
from deepcr_ccd.pipeline import dask_blocks as chunks
from deepcr_ccd.pipeline import dask_clean as chunked

da = pytest.importorskip("dask.array")

SHAPE = (400, 500)


@pytest.fixture(scope="module")
def frame():
    return simulate(SHAPE, n_stars=30, n_tracks=60, seed=3).data.astype("f4")


@pytest.fixture(scope="module")
def expected(frame):
    uncertainty = StdDevUncertainty(np.full(SHAPE, 9.0))
    ccd = CCDData(frame, unit="adu", uncertainty=uncertainty)
    return cosmicray_deepcr(ccd)


SIZES = [(1, 500), (400, 1), (64, 64), (7, 500), ((1, 2, 397), (250, 250))]


@pytest.mark.parametrize("sizes", SIZES)
def test_narrow_chunks_give_what_the_frame_gives(frame, expected, sizes, monkeypatch):
    calls = []
    work = chunked._examine_chunk

    def count(*arguments):
        calls.append(1)
        return work(*arguments)

    monkeypatch.setattr(chunked, "_examine_chunk", count)
    array = da.from_array(frame, sizes)
    uncertainty = StdDevUncertainty(np.full(SHAPE, 9.0))
    cleaned = cosmicray_deepcr(CCDData(array, unit="adu", uncertainty=uncertainty))
    assert cleaned.data.chunks == cleaned.mask.chunks == array.chunks
    np.testing.assert_array_equal(cleaned.mask.compute(), expected.mask)
    assert len(calls) <= 2
    np.testing.assert_allclose(cleaned.data.compute(), expected.data, rtol=2e-5)
    np.testing.assert_allclose(
        np.asarray(cleaned.uncertainty.array), expected.uncertainty.array, rtol=1e-3
    )
    p = cosmicray_probability(array)
    assert p.chunks == array.chunks
    np.testing.assert_allclose(p.compute(), cosmicray_probability(frame), atol=2e-3)


def test_stacks_of_narrow_chunks(frame, expected):
    stack = da.stack([da.from_array(frame, (40, 50))] * 2)
    cleaned, crmask = cosmicray_deepcr(stack)
    assert crmask.chunks == cleaned.chunks == stack.chunks
    for plane in crmask.compute():
        np.testing.assert_array_equal(plane, expected.mask)


@pytest.mark.parametrize(
    ("shape", "sizes", "number"),
    [
        ((4096, 2048), (1, 2048), (4, 1)),
        ((4096, 2048), (4096, 1), (1, 2)),
        ((4096, 2048), (64, 64), (4, 2)),
        ((20000, 20000), (10, 20000), (20, 20)),
        ((4096, 2048), (256, 512), (16, 4)),
        ((4096, 2048), (4096, 2048), (1, 1)),
        ((100, 4096), (100, 1024), (1, 4)),
        ((3000, 300), ((1, 2999), 300), (2, 1)),
    ],
)
def test_how_chunks_are_put_together(shape, sizes, number):
    array = da.zeros(shape, chunks=sizes)
    wide = chunks.widen(array)
    assert wide.shape == shape
    assert wide.numblocks == number
    if number == array.numblocks:
        assert wide is array


def test_chunks_of_unknown_size_are_refused(frame):
    array = da.from_array(frame, 100)
    unknown = array[array[:, 0] > -1e9]
    with pytest.raises(ValueError, match="ccd has chunks of unknown size"):
        cosmicray_deepcr(unknown)
