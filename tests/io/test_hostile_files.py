"""Files as they should not be: each an error of one line, and the others go on."""

import gzip
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from astropy.io import fits
from sample_files import contents, write_night

from deepcr_ccd import clean_files
from deepcr_ccd.batch.job import Job, run_job
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.io import fits_file as files
from deepcr_ccd.io import stream as spool
from deepcr_ccd.io import tile_compression
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.io.header_checks import check_headers

CARDS = {
    "NAXIS": (999, -1, 10**9, 2.5, "two"),
    "NAXIS1": (10**12, -5, 1e3, True, "many"),
    "BITPIX": (12, 0, 10**15, -16),
    "GCOUNT": (-1, 10**15, 1.5),
    "PCOUNT": (-1, 10**15, -(10**15)),
    "TFIELDS": (10**15, -1, 1e15, "x"),
}


def damaged(path, key, value, hdu):
    """Write a file of an image, a table and an image, with a card that lies."""
    rng = np.random.default_rng(0)
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(9))])
    image = fits.ImageHDU(rng.normal(100, 5, (64, 64)).astype(np.float32), name="SCI")
    packed = fits.CompImageHDU(np.ones((64, 64), np.int16), name="DQ")
    hdus = [fits.PrimaryHDU(), image, table, packed]
    fits.HDUList(hdus).writeto(path)
    content = bytearray(path.read_bytes())
    places = [0] + [
        i for i in range(2880, len(content), 2880) if content[i : i + 8] == b"XTENSION"
    ]
    start = places[hdu]
    card = fits.Card(key, value).image.encode()
    end = content.index(b"END" + b" " * 77, start)
    for place in range(start, end, 80):
        if content[place : place + 8].rstrip() == key.encode():
            break
    else:  # a new card in place of END, which moves on
        place = end
        content[end + 80 : end + 160] = b"END" + b" " * 77
    content[place : place + 80] = card
    path.write_bytes(content)


@pytest.mark.parametrize("hdu", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key in CARDS for value in CARDS[key]]
)
def test_damaged_cards(tmp_path, key, value, hdu):
    if hdu == 0 and key == "NAXIS1":
        pytest.skip("it has no meaning there")
    path = tmp_path / "a.fits"
    damaged(path, key, value, hdu)
    start = time.perf_counter()
    row = run_job(Job(path, tmp_path / "out.fits"), FileOptions())
    assert time.perf_counter() - start < 5
    if row["status"] == "done":
        # Without data, how many groups there are does not matter.
        assert hdu == 0 and key in ("GCOUNT", "PCOUNT")
        return
    assert row["status"] == "failed"
    assert f"HDU {hdu}" in row["message"]
    assert "is damaged" in row["message"] or "is truncated" in row["message"]
    assert not (tmp_path / "out.fits").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [("ZNAXIS1", 10**12), ("ZNAXIS1", -1), ("ZTILE1", 0), ("ZBITPIX", 7),
     ("ZNAXIS", -1), ("ZNAXIS", 10**6)],
)  # fmt: skip
def test_damaged_compressed_images(tmp_path, key, value):
    path = tmp_path / "a.fits"
    damaged(path, key, value, 3)
    with pytest.raises(OSError, match="HDU 3"):
        FitsFile(path)


def test_a_header_without_end(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.ones((64, 64))).writeto(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"END     ", b"COMMENT ", 1) + b" " * 2880 * 5000)
    with pytest.raises(OSError, match="the header of HDU 0 has no END"):
        FitsFile(path)
    path.write_bytes(content.replace(b"END     ", b"COMMENT ", 1))
    with pytest.raises(OSError, match="is truncated in the header of HDU 0"):
        FitsFile(path)


@pytest.mark.parametrize("kind", ["image", "compressed", "table"])
def test_a_header_that_runs_into_the_next(tmp_path, kind):
    """The next unit is not taken for a part of the first, which would be lost."""
    image = (fits.CompImageHDU if kind == "compressed" else fits.ImageHDU)(
        np.ones((64, 64), np.int16), name="SCI"
    )
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(9))])
    others = [table, image] if kind == "table" else [image]
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), *others]).writeto(path)
    end = b"END" + b" " * 77
    path.write_bytes(path.read_bytes().replace(end, b" " * 80, 1))
    row = run_job(Job(path, tmp_path / "out.fits"), FileOptions())
    assert row["status"] == "failed"
    assert row["message"] == f"{path}: is damaged: the header of HDU 0 has no END"
    assert not (tmp_path / "out.fits").exists()


def test_long_headers_and_many_extensions_are_read(tmp_path):
    path = tmp_path / "a.fits"
    hdus = fits.HDUList([fits.PrimaryHDU(np.ones((64, 64)))])
    for number in range(6000):
        hdus[0].header.add_history(f"step {number}")
    hdus.extend(fits.ImageHDU(np.ones(3)) for _ in range(300))
    hdus.writeto(path)
    with open(path, "rb") as file:
        check_headers(file)
    assert FitsFile(path).images[0].shape == (64, 64)


def no_file(kind, path):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link":
        path.symlink_to("nowhere")
    elif kind == "empty":
        path.touch()
    elif kind == "bomb":
        path.write_bytes(gzip.compress(bytes(10**7)))
    else:
        with socket.socket(socket.AF_UNIX) as server:
            before = os.getcwd()
            os.chdir(path.parent)  # paths of sockets are short
            server.bind(path.name)
            os.chdir(before)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
@pytest.mark.parametrize("kind", ["pipe", "device", "link", "empty", "bomb", "socket"])
@pytest.mark.parametrize("whole_folder", [False, True])
def test_what_is_no_file(tmp_path, kind, whole_folder):
    night = write_night(tmp_path / "night", 2)
    bad = tmp_path / "night" / "bad.fits"
    no_file(kind, bad)
    items = [tmp_path / "night"] if whole_folder else [bad, *night]
    table = clean_files(items, tmp_path / "out")
    assert table["status"].tolist() == ["failed", "done", "done"]
    assert table["message"][0]


def test_folders_named_like_files(tmp_path):
    write_night(tmp_path / "night", 1)
    write_night(tmp_path / "night" / "x.fits", 1)
    (tmp_path / "night" / "x.fits" / "frame000.fits").rename(
        tmp_path / "night" / "x.fits" / "b.fits"
    )
    table = clean_files([tmp_path / "night"], tmp_path / "out")
    assert table["status"].tolist() == ["done"]
    table = clean_files([tmp_path / "night" / "x.fits"], tmp_path / "out")
    assert table["status"].tolist() == ["done"]


SHRINKING = """
import os, sys
import deepcr_ccd.batch.image as images
from deepcr_ccd import clean_files

clean_frame = images.clean_frame

def shrink(*arguments, **how):
    os.truncate(sys.argv[1], 6000)
    return clean_frame(*arguments, **how)

images.clean_frame = shrink
table = clean_files(sys.argv[1:-1], sys.argv[-1], workers=1)
print(*table["status"])
print(table["message"][0])
"""


@pytest.mark.parametrize("read_whole", [0, 1 << 30])
def test_a_file_that_shrinks_while_it_is_read(tmp_path, read_whole):
    night = write_night(tmp_path / "night", 2, size=512)
    code = f"import deepcr_ccd.io.fits_file as f; f.LARGEST_READ = {read_whole}"
    code += SHRINKING
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, night), str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    status, message = done.stdout.splitlines()
    assert status == "failed done"
    assert message == f"{night[0]} changed while it was read"
    assert list(contents(tmp_path / "out")) == ["frame001.fits"]


def test_a_file_that_is_cut_before_its_pixels_are_read(tmp_path, monkeypatch):
    (path,) = write_night(tmp_path, 1)
    found = FitsFile._find_images

    def cut(self, hdus):
        os.truncate(path, 6000)
        return found(self, hdus)

    monkeypatch.setattr(FitsFile, "_find_images", cut)
    row = run_job(Job(path, tmp_path / "out.fits"), FileOptions())
    assert row["message"] == f"{path} changed while it was read"


def test_the_largest_images_are_mapped_from_a_copy(tmp_path, monkeypatch):
    (path,) = write_night(tmp_path, 1)
    monkeypatch.setattr(files, "LARGEST_READ", 1000)
    ccd = FitsFile(path).images[0].read()
    expected = fits.getdata(path, memmap=False)
    os.truncate(path, 100)
    np.testing.assert_array_equal(ccd.data, expected)
    backed = ccd.data
    while isinstance(backed, np.ndarray) and backed.base is not None:
        backed = backed.base
    assert type(backed).__name__ == "mmap"


def fuzzed(content, rng):
    """Change some bytes, most of them in headers; or cut, or repeat a part."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        most = len(content) if rng.random() < 0.3 else 2880 * 2
        where = int(rng.integers(0, min(len(content), most)))
        kind = rng.integers(4)
        if kind == 0:
            content[where] = rng.integers(256)
        elif kind == 1:
            digits = str(rng.integers(-(10**15), 10**15)).encode()[
                : rng.integers(1, 16)
            ]
            content[where : where + len(digits)] = digits
        elif kind == 2:
            length = int(rng.integers(1, 3000))
            content[where : where + length] = content[:length]
        elif rng.random() < 0.2:
            del content[where:]
            content += b" "
    return bytes(content)


@pytest.mark.parametrize("kind", ["plain", "compressed"])
def test_fuzz(tmp_path, kind):
    rng = np.random.default_rng(8)
    path = tmp_path / "a.fits"
    data = np.rint(rng.normal(100, 5, (64, 64))).astype(np.int16)
    image = (fits.ImageHDU if kind == "plain" else fits.CompImageHDU)(data, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    content = path.read_bytes()
    for number in range(60):
        path.write_bytes(fuzzed(content, rng))
        row = run_job(Job(path, tmp_path / "out.fits"), FileOptions(), replace=True)
        assert row["status"] in ("done", "failed")
        assert row["seconds"] < 5, number
        assert "\n" not in row["message"]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_images_that_can_crash_their_reader(tmp_path, monkeypatch, large, dtype):
    rng = np.random.default_rng(3)
    data = np.rint(rng.normal(1000, 5, (64, 80))).astype(dtype)
    path = tmp_path / "a.fits"
    image = fits.CompImageHDU(data, name="SCI", compression_type="HCOMPRESS_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    if large:
        monkeypatch.setattr(spool, "LARGEST_IN_MEMORY", 1000)
    expected = fits.getdata(path, "SCI")
    for packed in (False, True):
        if packed:
            path.with_suffix(".fits.gz").write_bytes(gzip.compress(path.read_bytes()))
            path = path.with_suffix(".fits.gz")
        found = FitsFile(path).images[0].read().data
        np.testing.assert_array_equal(found, expected)
        assert isinstance(found, np.memmap) == large
    row = run_job(Job(path, tmp_path / "out.fits"), FileOptions())
    assert row["status"] == "done"
    with fits.open(tmp_path / "out.fits") as hdus:
        same = hdus["SCI"].data == expected
        np.testing.assert_array_equal(same | (hdus["MASK"].data > 0), True)
    monkeypatch.setattr(tile_compression, "CODE", "import os; os.abort()")
    row = run_job(Job(path, tmp_path / "b.fits"), FileOptions())
    assert row["message"].endswith("cannot be read: its reader crashed")
    monkeypatch.setattr(tile_compression, "CODE", "import time; time.sleep(60)")
    monkeypatch.setattr(tile_compression, "PATIENCE", (0.1, 0))
    row = run_job(Job(path, tmp_path / "b.fits"), FileOptions())
    assert row["message"] == "reading a compressed image takes too long"


def test_a_hanging_reader_does_not_hold_the_others(tmp_path):
    """Damage is seen before the lock is taken that all readers share."""
    night = write_night(tmp_path / "night", 2)
    bad = tmp_path / "bad.fits"
    damaged(bad, "TFIELDS", 10**15, 2)
    done = []
    thread = threading.Thread(
        target=lambda: done.append(clean_files([bad, *night], tmp_path / "out")),
        daemon=True,
    )
    thread.start()
    thread.join(60)
    assert [row["status"] for row in done[0]] == ["failed", "done", "done"]
