"""Files of several images, with flags and errors, from pixels to pixels."""

import json

import numpy as np
import pytest
from astropy.io import fits

from deepcr_ccd import clean_files
from deepcr_ccd.batch.files import COLUMNS
from deepcr_ccd.batch.job import Job, run_job
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.cli import main
from deepcr_ccd.io.fits_file import FitsFile, matching_images

SHAPE = (64, 72)


def sky(seed, shape=SHAPE):
    """Plain sky with bright tracks of five pixels; data, and where the tracks are."""
    rng = np.random.default_rng(seed)
    data = rng.normal(300, 17, shape)
    tracks = np.zeros(shape, dtype=bool)
    for y in range(6, 60, 9):
        x = int(rng.integers(5, 60))
        tracks[..., y, x : x + 5] = True
    data[tracks] += 1500
    return data.astype(np.float32), tracks


def write(path, *hdus):
    """A file of extensions: pairs of name and pixels, or whole HDUs."""
    made = [
        fits.ImageHDU(hdu[1], name=hdu[0]) if isinstance(hdu, tuple) else hdu
        for hdu in hdus
    ]
    fits.HDUList([fits.PrimaryHDU(), *made]).writeto(path)
    return path


def work(path, **options):
    out = path.with_name("out.fits")
    row = run_job(Job(path, out), FileOptions(**options))
    assert row["status"] == "done", row["message"]
    return row, out


def flags(dtype=np.int16, shape=SHAPE):
    return np.zeros(shape, dtype=dtype)


@pytest.mark.parametrize("names", [("N1", "N2", "S1"), ("CHIP1", "C", ""), ("",) * 3])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_image_of_a_mosaic_is_cleaned(tmp_path, names, compressed):
    frames = [sky(seed) for seed in range(3)]
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    hdus = [
        kind(np.rint(data).astype(np.int16), name=name)
        for (data, _), name in zip(frames, names, strict=True)
    ]
    path = write(tmp_path / "a.fits", *hdus, ("SKYMODEL", flags(np.float32) + 300))
    row, out = work(path)
    assert (row["images"], row["images_total"]) == (3, 4)
    assert row["images_left"] == "SKYMODEL,1"
    with fits.open(path) as old, fits.open(out) as new:
        assert len(new) == 8
        for index, (_, tracks) in enumerate(frames, start=1):
            changed = new[index].data != old[index].data
            assert changed[tracks].mean() > 0.95
            mask = new[4 + index].data == 1
            assert mask[tracks].mean() > 0.95
            assert not (changed & ~mask).any()
            assert new[index].header["CRNPIX"] == mask.sum()
        assert (new[4].data == 300).all()
        assert row["pixels"] == sum((new[i].data == 1).sum() for i in (5, 6, 7))


def test_masks_that_are_added_are_known_again(tmp_path):
    """The result, cleaned again: no second masks, and no mask goes to another chip."""
    for number, names in enumerate([("N1", "N2"), ("", ""), ("SCI", "SCI")]):
        path = tmp_path / f"{number}.fits"
        write(path, *[(n, sky(seed)[0]) for seed, n in enumerate(names)])
        first, second = tmp_path / f"{number}a.fits", tmp_path / f"{number}b.fits"
        assert run_job(Job(path, first), FileOptions())["status"] == "done"
        row = run_job(Job(first, second), FileOptions())
        assert row["status"] == "done", row["message"]
        with fits.open(first) as old, fits.open(second) as new:
            assert [hdu.name for hdu in old] == [hdu.name for hdu in new]
            assert len(new) == 5
            for i, (mask, seed) in enumerate(((3, 0), (4, 1)), start=1):
                assert new[i].header["CRNSKIP"] == old[mask].data.sum()
                assert (old[mask].data == 1)[sky(seed)[1]].mean() > 0.95
    with fits.open(tmp_path / "0a.fits") as hdus:
        assert [hdu.name for hdu in hdus[3:]] == ["N1_MASK", "N2_MASK"]


@pytest.mark.parametrize("names", [("N1", "N2"), ("", ""), ("SCI", "SCI")])
def test_chips_can_be_cleaned_one_after_the_other(tmp_path, names):
    paths = [tmp_path / f"{i}.fits" for i in range(4)]
    write(paths[0], *[(n, sky(seed)[0]) for seed, n in enumerate(names)])
    for i, ext in enumerate((2, 1, None)):
        row = run_job(Job(paths[i], paths[i + 1]), FileOptions(ext=ext))
        assert row["status"] == "done", row["message"]
    with fits.open(paths[3]) as hdus:
        assert len(hdus) == 5
        assert [hdu.header["CRHDU"] for hdu in hdus[3:]] == [2, 1]
        for seed, mask in ((1, 3), (0, 4)):
            assert (hdus[mask].data == 1)[sky(seed)[1]].mean() > 0.95
        for i, mask in ((1, 4), (2, 3)):
            expected = hdus[mask].data.sum() - hdus[i].header["CRNPIX"]
            assert hdus[i].header["CRNSKIP"] == expected


def test_masks_only_tell_whose_they_are(tmp_path):
    for number, (names, titles) in enumerate(
        [
            (("N1", "N2"), [("N1_CRMASK", 1), ("N2_CRMASK", 1)]),
            (("", ""), [("CRMASK", 1), ("CRMASK", 2)]),
        ]
    ):
        path = tmp_path / f"{number}.fits"
        write(path, *[(n, sky(seed)[0]) for seed, n in enumerate(names)])
        _, out = work(path, masks_only=True)
        with fits.open(out) as hdus:
            assert [(hdu.name, hdu.ver) for hdu in hdus[1:]] == titles
            assert [hdu.header["CREXT"] for hdu in hdus[1:]] == [
                name or str(i) for i, name in enumerate(names, start=1)
            ]
            assert [hdu.header["CRHDU"] for hdu in hdus[1:]] == [1, 2]
            for seed, hdu in enumerate(hdus[1:]):
                assert (hdu.data == 1)[sky(seed)[1]].mean() > 0.95
        out.unlink()


def test_ext_chooses(tmp_path, capsys):
    path = write(tmp_path / "a.fits", *[(n, sky(3)[0]) for n in ("A1", "A2", "B1")])
    for words, changed in (
        (["--ext", "B1"], [3]),
        (["--ext", "a*"], [1, 2]),
        (["--ext", "1", "--ext", "B1,1"], [1, 3]),
    ):
        arguments = ["clean", str(path), "-o", str(tmp_path / "o"), "--overwrite"]
        assert main([*arguments, *words, "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        left = [
            n for i, n in enumerate(("A1,1", "A2,1", "B1,1"), 1) if i not in changed
        ]
        assert (row["images"], row["images_total"]) == (len(changed), 3)
        assert row["images_left"] == "; ".join(left)
        with fits.open(path) as old, fits.open(tmp_path / "o/a.fits") as new:
            for i in (1, 2, 3):
                assert (old[i].data != new[i].data).any() == (i in changed)
    assert main(["mask", str(path), "-o", str(tmp_path / "m"), "--ext", "A2"]) == 0
    assert "px, 1 of 3 images (left: A1,1; B1,1), " in capsys.readouterr().out
    with fits.open(tmp_path / "m/a.fits") as hdus:
        assert [hdu.header["CREXT"] for hdu in hdus[1:]] == ["A2"]
    assert main(["clean", str(path), "-o", str(tmp_path / "n"), "--ext", "C"]) == 1
    assert "C is no extension of the file; its images: 1 (A1,1)" in (
        capsys.readouterr().err.replace("'", "")
    )


def test_rows_say_how_many_images_when_they_are_resumed(tmp_path):
    path = write(
        tmp_path / "a.fits", ("A", sky(0)[0]), ("B", sky(1)[0]), ("SKY", sky(2)[0])
    )
    tables = [
        clean_files(path, tmp_path / "o", resume=True, ext=("A", "B")) for _ in range(2)
    ]
    assert [table["status"][0] for table in tables] == ["done", "skipped"]
    for table in tables:
        assert table.colnames == list(COLUMNS)
        assert table["images"][0] == 2
        assert table["images_total"][0] == 3
        assert table["images_left"][0] == "SKY,1"
    # one that is chosen in another way is another result
    table = clean_files(path, tmp_path / "o", resume=True, ext="A")
    assert (table["status"][0], table["images"][0]) == ("done", 1)
    with pytest.raises(TypeError, match=r"ext=1\.5"):
        clean_files(path, tmp_path / "p", ext=1.5)
    with pytest.raises(ValueError, match="ext='' must hold names"):
        clean_files(path, tmp_path / "p", ext="")


@pytest.mark.parametrize("order", ["SDSD", "SSDD", "DSDS"])
def test_flags_go_to_their_own_chip(tmp_path, order):
    frames = [sky(seed) for seed in (1, 2)]
    planes = [flags(), flags()]
    planes[0][:, :3], planes[1][:, -3:] = 4, 4
    left = {"S": [f[0] for f in frames], "D": planes}
    names = {"S": "SCI", "D": "DQ"}
    path = write(tmp_path / "a.fits", *[(names[k], left[k].pop(0)) for k in order])
    _, out = work(path)
    with fits.open(path) as old, fits.open(out) as new:
        assert len(new) == 5
        sci = [i for i, k in enumerate(order, start=1) if k == "S"]
        dq = [i for i, k in enumerate(order, start=1) if k == "D"]
        for i, j, (_, tracks) in zip(sci, dq, frames, strict=True):
            gained = new[j].data ^ old[j].data
            good = old[j].data == 0
            assert set(np.unique(gained)) == {0, 4096}
            assert (gained > 0)[tracks & good].mean() > 0.95
            assert not gained[~good].any()
            assert new[i].header["CRNSKIP"] == (~good).sum()


def test_ambiguous_planes_are_refused(tmp_path):
    data = sky(0)[0]
    path = write(tmp_path / "a.fits", ("SCI", data), ("SCI", data), ("DQ", flags()))
    with pytest.raises(
        ValueError,
        match=r"a\.fits: it is not clear which DQ belongs to which image: DQ in "
        r"extension 3 \(DQ,1\), images in 1 \(SCI,1\), 2 \(SCI,1\); give them",
    ):
        FitsFile(path)


def test_flags_for_all_planes_of_a_stack(tmp_path):
    data, tracks = sky(5, (3, *SHAPE))
    data[0, 40:48, 3:5] += 1200
    bad = flags()
    bad[:, -4:] = 4
    path = write(tmp_path / "a.fits", ("SCI", data), ("DQ", bad))
    row, out = work(path)
    with fits.open(out) as new:
        changed = new["SCI"].data != data
        assert not changed[..., -4:].any()
        good = tracks & (bad == 0)
        assert changed[good].mean() > 0.95
        assert new["SCI"].header["CRNSKIP"] == 3 * 4 * SHAPE[0]
        # set where any plane is flagged
        expected = changed.any(axis=0)
        assert expected[40:48, 3:5].mean() > 0.9
        assert not changed[1:, 40:48, 3:5].any()
        np.testing.assert_array_equal(new["DQ"].data > 4, expected)
        np.testing.assert_array_equal(new["DQ"].data & 4, bad)
    assert row["pixels"] == changed.sum()


@pytest.mark.parametrize("shapes", [((1, *SHAPE), SHAPE), (SHAPE, (1, *SHAPE))])
def test_axes_of_one_pixel_do_not_count(tmp_path, shapes):
    data, tracks = sky(0)
    path = write(
        tmp_path / "a.fits",
        ("SCI", data.reshape(shapes[0])),
        ("DQ", flags().reshape(shapes[1])),
    )
    _, out = work(path)
    with fits.open(out) as new:
        assert new["SCI"].data.shape == shapes[0]
        assert new["DQ"].data.shape == shapes[1]
        found = (new["DQ"].data == 4096).reshape(SHAPE)
        np.testing.assert_array_equal(found, new["SCI"].data.reshape(SHAPE) != data)
        assert found[tracks].mean() > 0.95


@pytest.mark.parametrize("name", ["DQ", "MASK", "BPM"])
@pytest.mark.parametrize("shape", [(64, 71), (72, 64), (2, *SHAPE), (64,)])
def test_flags_of_another_shape_are_refused(tmp_path, name, shape):
    path = write(tmp_path / "a.fits", ("SCI", sky(0)[0]), (name, flags(shape=shape)))
    with pytest.raises(ValueError, match=rf"\[SCI,1\]: {name},1 has shape .*, and the"):
        FitsFile(path)


def test_errors_of_another_shape_are_left_with_a_warning(tmp_path):
    path = write(tmp_path / "a.fits", ("SCI", sky(0)[0]), ("ERR", flags("f4", (9, 9))))
    assert FitsFile(path).images[0].read().uncertainty is None
    (row,) = clean_files([path], tmp_path / "out")
    assert row["status"] == "done"
    assert "a.fits[ERR,1] stays as it is where pixels were filled" in row["message"]
    assert not fits.getdata(tmp_path / "out" / "a.fits", "ERR").any()


@pytest.mark.parametrize("name", ["MASK", "DQ", "ERR", "BPM", "VAR"])
def test_tables_named_like_planes_are_left(tmp_path, name):
    columns = [fits.Column("slit", "J", array=[1, 2])]
    table = fits.BinTableHDU.from_columns(columns, name=name)
    path = write(tmp_path / "a.fits", ("SCI", sky(0)[0]), table)
    row, out = work(path)
    assert row["images_total"] == 1
    with fits.open(path) as old, fits.open(out) as new:
        assert [hdu.name for hdu in new] == ["PRIMARY", "SCI", name, "MASK"]
        assert old[2].data.tobytes() == new[2].data.tobytes()
        assert isinstance(new[3], fits.ImageHDU)
    again = tmp_path / "again.fits"
    assert run_job(Job(out, again), FileOptions())["status"] == "done"
    with fits.open(again) as hdus:
        assert len(hdus) == 4


def test_exposures_need_as_many_images_each(tmp_path):
    data = sky(0)[0]
    one = FitsFile(write(tmp_path / "a.fits", ("A", data)))
    two = FitsFile(write(tmp_path / "b.fits", ("A", data), ("B", data)))
    assert [i.name for i in matching_images([two, two])[1]] == ["B", "B"]
    with pytest.raises(ValueError, match=r"a\.fits: 1, b\.fits: 2"):
        matching_images([one, two])
