import bz2
import gzip
import lzma
import mmap
import os
import sys
import tempfile
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from sample_files import hst_like, sci

import deepcr_ccd
from deepcr_ccd.batch.job import Job, run_job
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.core.cosmicray import KEYWORDS
from deepcr_ccd.inpainting import cutouts
from deepcr_ccd.io import fits_file as files
from deepcr_ccd.io import stream as spool
from deepcr_ccd.io.atomic import atomic_path
from deepcr_ccd.io.extensions.mask_extensions import write_masks
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.io.fits_image import CleanedImage
from deepcr_ccd.nddata.units import parse_unit

# A published model, which needs electrons, unless a test says otherwise.
cosmicray_deepcr = partial(deepcr_ccd.cosmicray_deepcr, model="ACS-WFC")


def segments(path):
    """Header and data bytes of each HDU, as they stand in the file."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
        path = path.with_suffix(".plain")
        path.write_bytes(content)
    with fits.open(path, disable_image_compression=True) as hdus:
        return [
            (
                content[i["hdrLoc"] : i["datLoc"]],
                content[i["datLoc"] : i["datLoc"] + i["datSpan"]],
            )
            for i in (hdu.fileinfo() for hdu in hdus)
        ]


def news(file, results):
    """What is new about each image of a file, given the images cleaned."""
    new = []
    for image, result in zip(file.images, results, strict=True):
        before, header = image.read(), result.header
        flagged = result.mask if before.mask is None else result.mask & ~before.mask
        errors = None
        if before.uncertainty is not None:
            errors = result.uncertainty.array[flagged]
            if np.array_equal(errors, before.uncertainty.array[flagged]):
                errors = None
        set_keys = [key for key in KEYWORDS if key in header]
        cards = [(key, header[key], header.comments[key]) for key in set_keys]
        cards.append(("HISTORY", list(header["HISTORY"])[-1], ""))
        new.append(
            CleanedImage(np.nonzero(flagged), result.data[flagged], errors, cards)
        )
    return new


def clean(path, out, **options):
    file = FitsFile(path)
    results = [cosmicray_deepcr(image.read(), **options) for image in file.images]
    file.write(out, news(file, results))
    return file, results


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("ELECTRONS", u.electron),
        ("electron", u.electron),
        ("e-", u.electron),
        ("ELECTRONS/S", u.electron / u.s),
        ("COUNTS", u.adu),
        ("DN", u.adu),
        ("ADU", u.adu),
        ("adu", u.adu),
        ("Jy", u.Jy),
        ("counts / s", u.adu / u.s),
    ],
)
def test_units(text, unit):
    assert parse_unit(text) == unit


def test_unknown_unit():
    with pytest.raises(ValueError, match="unit 'furlongs' is unknown"):
        parse_unit("furlongs")


@pytest.fixture(params=[False, True], ids=["in memory", "on disk"])
def on_disk(request, monkeypatch, tmp_path_factory):
    """Whether compressed images count as large; nothing is left of those on disk."""
    if not request.param:
        yield False
        return
    monkeypatch.setattr(spool, "LARGEST_IN_MEMORY", 1000)
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield True
    assert not list(folder.iterdir())


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
@pytest.mark.usefixtures("on_disk")
def test_only_flagged_pixels_change(tmp_path, ccd, suffix):
    path = hst_like(tmp_path / f"a{suffix}", ccd)
    file, results = clean(path, tmp_path / f"b{suffix}")
    assert [(i.name, i.extver) for i in file.images] == [("SCI", 1), ("SCI", 2)]
    before, after = segments(path), segments(tmp_path / f"b{suffix}")
    assert len(before) == len(after)
    changed = {1, 2, 3, 4, 5, 6}
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        assert (old == new) == (i not in changed)
    assert after[3][0] == before[3][0]
    with fits.open(path) as old, fits.open(tmp_path / f"b{suffix}") as new:
        for image, result, ver in zip(file.images, results, (1, 2), strict=True):
            flagged = result.mask & ~image.read().mask
            assert flagged.sum() > 50
            np.testing.assert_array_equal(
                new["DQ", ver].data,
                old["DQ", ver].data | np.where(flagged, 4096, 0),
            )
            np.testing.assert_array_equal(new["SCI", ver].data, result.data)
            np.testing.assert_array_equal(
                new["ERR", ver].data, result.uncertainty.array
            )
            assert (new["ERR", ver].data[flagged] != 8).mean() > 0.9
            assert (new["ERR", ver].data[~flagged] == 8).all()
            header = new["SCI", ver].header
            for key in KEYWORDS:
                assert header.get(key) == result.header.get(key)
            assert header["CRNSKIP"] == 3
            assert "TELESCOP" not in header
            assert list(header["HISTORY"]) == list(result.header["HISTORY"])
    lines = [card.image for card in old["SCI", 1].header.cards]
    kept = [card.image for card in new["SCI", 1].header.cards][: len(lines)]
    assert kept == lines


def test_dq_decides_what_is_examined(tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd, two=False)
    assert FitsFile(path).images[0].read().mask.sum() == 3
    assert FitsFile(path, bad_bits=64 | 256).images[0].read().mask.sum() == 6
    with fits.open(path, "update") as hdus:
        hdus[0].header["TELESCOP"] = "Other"
    # Elsewhere all bits but that of cosmic rays are bad.
    assert FitsFile(path).images[0].read().mask.sum() == 6
    assert FitsFile(path, dq_bit=64).images[0].read().mask.sum() == 6
    err = FitsFile(path).images[0].read().uncertainty
    assert (err.array == 8).all()


def test_dq_bit(tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd, two=False)
    file = FitsFile(path, dq_bit=8192)
    result = cosmicray_deepcr(file.images[0].read())
    file.write(tmp_path / "b.fits", news(file, [result]))
    dq = fits.getdata(tmp_path / "b.fits", "DQ")
    assert ((dq & 8192) > 0).sum() == result.header["CRNPIX"]
    for bad in (0, 3, -1):
        with pytest.raises(ValueError, match=f"dq_bit={bad} must be a power of two"):
            FitsFile(path, dq_bit=bad)
    with pytest.raises(TypeError, match="dq_bit=4096.0 must be a whole number"):
        FitsFile(path, dq_bit=4096.0)
    file = FitsFile(path, dq_bit=1 << 20)
    with pytest.raises(
        ValueError, match="dq_bit=1048576 does not fit into DQ of int16"
    ):
        file.write(tmp_path / "c.fits", news(file, [result]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fits", "b.fits"]


def test_checksums_are_renewed(tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd, checksum=True)
    time.sleep(1.1)  # Checksums tell the second in their comments.
    clean(path, tmp_path / "b.fits")
    # A wrong checksum would warn, and warnings are errors here.
    with fits.open(tmp_path / "b.fits", checksum=True) as hdus:
        for hdu in hdus:
            assert "CHECKSUM" in hdu.header
            assert hdu.data is not None or hdu.header["NAXIS"] == 0
    before, after = segments(path), segments(tmp_path / "b.fits")
    assert [i for i in range(9) if before[i] != after[i]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_number_formats_are_kept(tmp_path, ccd, dtype):
    frame = ccd.copy()
    frame.data = np.clip(ccd.data, 0, 250 if dtype == "u1" else 30000)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), sci(frame, dtype=dtype)]).writeto(path)
    _, (result,) = clean(path, tmp_path / "b.fits")
    with fits.open(path) as old, fits.open(tmp_path / "b.fits") as new:
        assert new[1].header["BITPIX"] == old[1].header["BITPIX"]
        a, b = old[1].data, new[1].data
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(b[~result.mask], a[~result.mask])
        tolerance = 0.5001 if a.dtype.kind in "iu" else 0.01
        np.testing.assert_allclose(
            b[result.mask], result.data[result.mask], atol=tolerance
        )
        # Neither DQ nor MASK was there: a mask is added, as CCDData reads it.
        np.testing.assert_array_equal(new["MASK", 1].data, result.mask)


def test_scaled_data(tmp_path, ccd):
    path = tmp_path / "a.fits"
    stored = np.rint((ccd.data - 100) / 0.5).astype(np.int16)
    hdu = fits.PrimaryHDU(stored)
    hdu.header["BUNIT"] = "electron"
    hdu.writeto(path)
    with fits.open(path, "update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"] = 0.5
        hdus[0].header["BZERO"] = 100.0
    _, (result,) = clean(path, tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as new:
        assert new[0].header["BSCALE"] == 0.5
        assert new[0].header["EXTEND"]
        data = new[0].data
    np.testing.assert_allclose(data[result.mask], result.data[result.mask], atol=0.26)
    np.testing.assert_array_equal(
        data[~result.mask], (stored * 0.5 + 100)[~result.mask]
    )


def test_large_compressed_images_are_mapped(tmp_path, ccd, on_disk):
    """Tiles that are no whole rows, and fewer at the end; scaled, or as stored."""
    path = tmp_path / "a.fits"
    data = np.rint(np.clip(ccd.data, 0, 30000)).astype("u2")[:61, :70]
    cube = np.stack([data[:40, :40], data[:40, 20:60], data[:40, 30:]])
    hdus = [
        fits.CompImageHDU(data, name="SCI", tile_shape=(9, 33)),
        fits.CompImageHDU(cube, name="CUBE", tile_shape=(2, 7, 40)),
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    for options in ({}, {"do_not_scale_image_data": True}):
        with fits.open(path, **options) as file:
            for hdu in file[1:]:
                expected = hdu.data.copy()
                found = spool.read_image(hdu)
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found, expected)
                assert isinstance(found, np.memmap) == on_disk
                # It can be changed, as one in memory can.
                found[0, 0] = 5
                assert (found[0, 0] == 5).all()


def test_large_gzipped_files_are_mapped(tmp_path, ccd, on_disk):
    path = hst_like(tmp_path / "a.fits.gz", ccd)
    file = FitsFile(path)
    image = file.images[1].read().data
    backed = image
    while backed.base is not None and not isinstance(backed.base, mmap.mmap):
        backed = backed.base
    assert isinstance(backed.base, mmap.mmap) == on_disk
    np.testing.assert_array_equal(image, fits.getdata(path, ("SCI", 2)))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("largest_read", [0, 1 << 30])
@pytest.mark.parametrize("dtype", ["u2", "i2", "f4"])
@pytest.mark.usefixtures("on_disk")
def test_scaled_integers_in_compressed_files(
    tmp_path, ccd, suffix, largest_read, dtype, monkeypatch
):
    """As most cameras write them: with BZERO, or with BLANK."""
    monkeypatch.setattr(files, "LARGEST_READ", largest_read)
    stored = np.rint(np.clip(ccd.data, 0, 30000)).astype(dtype)
    hdu = fits.PrimaryHDU(stored)
    hdu.header["BUNIT"] = "electron"
    if dtype == "i2":
        hdu.header["BLANK"] = -1
        stored[4, 4:7] = -1
        hdu.data[4, 4:7] = -1
    plain = tmp_path / "a.fits"
    hdu.writeto(plain)
    path = tmp_path / f"a.fits{suffix}"
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    if suffix:
        path.write_bytes(pack[suffix](plain.read_bytes()))
    data = FitsFile(path).images[0].read().data
    expected = stored.astype(float)
    if dtype == "i2":
        expected[4, 4:7] = np.nan
    np.testing.assert_array_equal(data, expected)
    (row,) = deepcr_ccd.clean_files([path], tmp_path / "out")
    assert row["status"] == "done", row["message"]
    with fits.open(tmp_path / "out" / path.name) as hdus:
        assert hdus[0].data.dtype.newbyteorder("=") == fits.getdata(
            plain
        ).dtype.newbyteorder("=")


def test_a_full_disk_is_an_error(tmp_path, ccd, on_disk, monkeypatch):
    """And none that kills the process, as writing through a mapping would be."""
    path = tmp_path / "a.fits"
    hdu = fits.CompImageHDU(ccd.data, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "wb", 0))
    with fits.open(path) as hdus:
        if not on_disk:
            np.testing.assert_array_equal(spool.read_image(hdus[1]), hdus[1].data)
            return
        with pytest.raises(OSError, match="No space"):
            spool.read_image(hdus[1])
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    full = partial(open, "/dev/full", "wb", 0)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **_: full())
    with pytest.raises(OSError, match="No space"):
        FitsFile(packed)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2"])
@pytest.mark.parametrize("dtype", ["i2", "u2", "i4"])
@pytest.mark.usefixtures("on_disk")
def test_compressed_integers_stay_compressed(tmp_path, ccd, kind, dtype):
    path = tmp_path / "a.fits"
    image = fits.CompImageHDU(
        np.rint(np.clip(ccd.data, 0, 30000)).astype(dtype),
        name="SCI",
        compression_type=kind,
        tile_shape=(8, ccd.shape[1]),
    )
    image.header["BUNIT"] = "electron"
    image.header["ODDKEY"] = 3
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    _, (result,) = clean(path, tmp_path / "b.fits")
    with fits.open(path) as old, fits.open(tmp_path / "b.fits") as new:
        assert isinstance(new[1], fits.CompImageHDU)
        assert new[1].compression_type == kind
        assert new[1].header["ODDKEY"] == 3
        assert new[1].header["CRNPIX"] == result.mask.sum()
        assert new[1].data.dtype == old[1].data.dtype
        np.testing.assert_array_equal(
            new[1].data[~result.mask], old[1].data[~result.mask]
        )
        np.testing.assert_allclose(
            new[1].data[result.mask], result.data[result.mask], atol=0.5001
        )
    with fits.open(tmp_path / "b.fits", disable_image_compression=True) as raw:
        assert (raw[1].header["ZTILE2"], raw[1].header["ZTILE1"]) == (8, ccd.shape[1])


@pytest.mark.usefixtures("on_disk")
def test_compressed_floats_do_not_move(tmp_path, ccd):
    path = tmp_path / "a.fits"
    image = fits.CompImageHDU(ccd.data, name="SCI", compression_type="RICE_1")
    image.header["BUNIT"] = "electron"
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    _, (result,) = clean(path, tmp_path / "b.fits")
    with fits.open(path) as old, fits.open(tmp_path / "b.fits") as new:
        assert isinstance(new[1], fits.CompImageHDU)
        np.testing.assert_array_equal(
            new[1].data[~result.mask], old[1].data[~result.mask]
        )
        np.testing.assert_array_equal(
            new[1].data[result.mask], result.data[result.mask]
        )


def test_constant_dq_is_made_explicit(tmp_path, ccd):
    path = tmp_path / "a.fits"
    dq = fits.ImageHDU(name="DQ")
    ny, nx = ccd.shape
    dq.header.update({"NPIX1": nx, "NPIX2": ny, "PIXVALUE": 2})
    fits.HDUList([fits.PrimaryHDU(), sci(ccd), dq]).writeto(path)
    file = FitsFile(path, bad_bits=1)
    result = cosmicray_deepcr(file.images[0].read())
    file.write(tmp_path / "b.fits", news(file, [result]))
    with fits.open(tmp_path / "b.fits") as new:
        np.testing.assert_array_equal(new["DQ"].data, np.where(result.mask, 4098, 2))
        assert "NPIX1" not in new["DQ"].header
        assert len(new) == 3


def test_constant_err_is_made_explicit(tmp_path, ccd):
    path = tmp_path / "a.fits"
    err = fits.ImageHDU(name="ERR")
    ny, nx = ccd.shape
    err.header.update({"NPIX1": nx, "NPIX2": ny, "PIXVALUE": 7.5})
    fits.HDUList([fits.PrimaryHDU(), sci(ccd), err]).writeto(path)
    _, (result,) = clean(path, tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as new:
        assert (new["ERR"].data[~result.mask] == 7.5).all()
        np.testing.assert_array_equal(new["ERR"].data, result.uncertainty.array)


def test_err_stays_where_nothing_is_filled(tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd, two=False)
    clean(path, tmp_path / "b.fits", inpaint=None)
    before, after = segments(path), segments(tmp_path / "b.fits")
    assert [i for i in range(6) if before[i] != after[i]] == [1, 3]


def test_mask_extension_is_used_and_updated(tmp_path, ccd):
    full = ccd.copy()
    full.mask = np.zeros(ccd.shape, dtype=bool)
    full.mask[:5] = True
    path = tmp_path / "a.fits"
    full.write(path)
    _, (result,) = clean(path, tmp_path / "b.fits")
    assert result.header["CRNSKIP"] == 5 * ccd.shape[1]
    with fits.open(tmp_path / "b.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK"]
        np.testing.assert_array_equal(hdus["MASK"].data, result.mask)


def test_first_image_serves_where_there_is_no_sci(tmp_path, ccd):
    path = tmp_path / "a.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1])])
    image = fits.ImageHDU(ccd.data, name="CHIP")
    image.header["BUNIT"] = "electron"
    spectrum = fits.ImageHDU(np.arange(5.0))
    fits.HDUList([fits.PrimaryHDU(), table, spectrum, image]).writeto(path)
    file = FitsFile(path)
    assert [(i.name, i.index) for i in file.images] == [("CHIP", 3)]
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "b.fits")
    with pytest.raises(ValueError, match="holds no image of two or three"):
        FitsFile(tmp_path / "b.fits")


def test_stack(tmp_path, ccd):
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.stack([ccd.data, ccd.data[::-1]]))
    hdu.header["BUNIT"] = "electron"
    hdu.writeto(path)
    _, (result,) = clean(path, tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        np.testing.assert_array_equal(hdus[0].data, result.data)
        np.testing.assert_array_equal(hdus["MASK"].data, result.mask)


@pytest.mark.parametrize("read_whole", [0, 1 << 30])
def test_a_large_image_takes_few_bytes_a_pixel(tmp_path, monkeypatch, read_whole):
    """No probability is kept and nothing is copied; the largest images are mapped."""
    monkeypatch.setattr(cutouts, "MAX_FRAME_PIXELS", 640_000)
    monkeypatch.setattr(cutouts, "MAX_CUTOUT_ELEMENTS", 200_000)
    data = np.random.default_rng(0).normal(100, 5, (3000, 3200)).astype(np.float32)
    data[500:508, 60] += 900
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(data).writeto(path)
    del data
    options = FileOptions(tile_size=128)
    small = tmp_path / "small.fits"
    fits.PrimaryHDU(fits.getdata(path)[:400, :400]).writeto(small)
    peaks = []
    monkeypatch.setattr(files, "LARGEST_READ", read_whole)
    for source in (small, path):
        tracemalloc.start()
        row = run_job(Job(source, tmp_path / f"{source.stem}_out.fits"), options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert row["status"] == "done"
    # The probability alone, or a copy of the image, would take four.
    image = 4 if read_whole else 0
    assert peaks[1] - peaks[0] < (3.2 + image) * 3000 * 3200


@pytest.mark.parametrize("compressed", [False, True])
def test_a_mosaic_takes_the_memory_of_one_chip(tmp_path, compressed):
    rng = np.random.default_rng(0)
    peaks = {}
    for number in (2, 12):
        hdus = [fits.PrimaryHDU()]
        for _ in range(number):
            data = rng.normal(100, 5, (400, 500)).astype(np.float32)
            data[50:58, 60] += 900
            kind = fits.CompImageHDU if compressed else fits.ImageHDU
            hdus.append(kind(np.rint(data).astype(np.int16), name="SCI"))
            hdus[-1].ver = len(hdus) - 1
        path = tmp_path / f"{number}.fits"
        fits.HDUList(hdus).writeto(path)
        tracemalloc.start()
        row = run_job(Job(path, tmp_path / f"{number}_out.fits"), FileOptions())
        _, peaks[number] = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert row["status"] == "done"
        assert row["objects"] >= number
    assert peaks[12] < 1.3 * peaks[2]


def test_threads_see_compressed_images(tmp_path):
    """Astropy 6.1 lets one thread's way of reading spill over to the others."""
    data = np.arange(64, dtype=np.int16).reshape(8, 8)
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU(), *(fits.CompImageHDU(data, name="SCI") for _ in range(4))]
    for ver, hdu in enumerate(hdus[1:], start=1):
        hdu.ver = ver
    fits.HDUList(hdus).writeto(path)
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-5)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: len(FitsFile(path).images), range(80)))
    finally:
        sys.setswitchinterval(interval)
    assert found == [4] * 80


def test_masks_only(tmp_path, ccd):
    file = FitsFile(hst_like(tmp_path / "a.fits", ccd))
    results = [cosmicray_deepcr(image.read()) for image in file.images]
    write_masks(tmp_path / "m.fits.gz", file.images, news(file, results))
    with fits.open(tmp_path / "m.fits.gz") as hdus:
        assert [(h.name, h.ver) for h in hdus[1:]] == [("CRMASK", 1), ("CRMASK", 2)]
        expected = results[1].mask & ~file.images[1].read().mask
        np.testing.assert_array_equal(hdus[2].data, expected)
        assert hdus[2].header["CRNPIX"] == expected.sum()
        assert hdus[2].header["CREXT"] == "SCI"
    with pytest.raises(FileExistsError, match=r"m\.fits\.gz exists"):
        write_masks(tmp_path / "m.fits.gz", file.images, news(file, results))


def test_outputs_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"

    def fail():
        with atomic_path(path, overwrite=True) as partial:
            partial.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not list(tmp_path.iterdir())
    with atomic_path(path, overwrite=False) as partial:
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o644 or path.stat().st_mode & 0o400
    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "whole"
    assert len(list(tmp_path.iterdir())) == 1


def test_input_may_be_replaced(tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd, two=False)
    file = FitsFile(path)
    result = cosmicray_deepcr(file.images[0].read())
    file.write(path, news(file, [result]), overwrite=True)
    np.testing.assert_array_equal(fits.getdata(path, "SCI"), result.data)


def test_real_frames(data_folder, tmp_path):
    """Headers and extensions of real archive files survive."""
    for name, model in (
        ("hst_wfc3_uvis/ibo821kvq_flt.fits", "WFC3-UVIS"),
        ("hst_acs_hrc/j8bt06nyq_flt.fits.gz", "ACS-WFC"),
    ):
        path = data_folder / name
        out = tmp_path / path.name
        copy = tmp_path / f"in_{path.name}"
        copy.write_bytes(path.read_bytes())
        clean(copy, out, model=model)
        before, after = segments(copy), segments(out)
        differ = {i for i in range(len(before)) if before[i] != after[i]}
        assert differ == {1, 2, 3}  # SCI, ERR, DQ
        old, new = fits.getdata(path, "DQ"), fits.getdata(out, "DQ")
        gained = new & ~old
        assert set(np.unique(gained)) == {0, 4096}
        assert (new & old == old).all()


# One exposure has cosmic rays in more than a tenth of its pixels.
@pytest.mark.filterwarnings("ignore:.*of the examined pixels are flagged")
def test_real_compressed_frames(data_folder, tmp_path):
    path = data_folder / "hst_stis" / "o56502010_raw.fits"
    _, results = clean(path, tmp_path / "b.fits", gain=1)
    with fits.open(path) as old, fits.open(tmp_path / "b.fits") as new:
        for ver, result in zip((1, 2), results, strict=True):
            a, b = old["SCI", ver].data, new["SCI", ver].data
            assert a.dtype == b.dtype == np.uint16
            np.testing.assert_array_equal(a[~result.mask], b[~result.mask])
            assert new["SCI", ver].compression_type == "RICE_1"
            # older astropy takes it out of the header once the data were read
            assert fits.getval(tmp_path / "b.fits", "BZERO", ("SCI", ver)) == 32768


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of POSIX")
def test_outputs_have_the_rights_of_any_file(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "out.fits", overwrite=False) as partial:
            partial.write_bytes(b"")
    finally:
        os.umask(before)
    assert (tmp_path / "out.fits").stat().st_mode & 0o777 == 0o640
