"""Files that are compressed as a whole."""

import gzip
import io
import shutil
import subprocess
import zlib

import numpy as np
import pytest
import torch

from deepcr_ccd.io import compression
from deepcr_ccd.io.compression import BLOCK_BYTES, compress


@pytest.fixture(scope="module")
def noise():
    """Numbers that repeat from block to block, over and over."""
    return np.random.default_rng(2).normal(100, 5, 3000).astype(">f4").tobytes()


def packed(path, content, suffix=".gz"):
    path.write_bytes(content)
    compress(path, suffix)
    return path.read_bytes()


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_gzip_holds_the_content_in_one_member(tmp_path, noise, blocks, extra):
    size = max(blocks * BLOCK_BYTES + extra, 0)
    content = (noise * (size // len(noise) + 1))[:size]
    file = packed(tmp_path / "a", content)
    assert gzip.decompress(file) == content
    reader = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    assert reader.decompress(file) + reader.flush() == content
    assert reader.eof and not reader.unused_data
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_gzip_is_as_small_as_that_of_the_standard_library(tmp_path, noise):
    """Also where a block refers to those before it, and whatever the threads are."""
    content = noise * 400
    plain = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, plain, mtime=0) as file:
        file.write(content)
    files = set()
    threads = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            files.add(packed(tmp_path / "a", content))
    finally:
        torch.set_num_threads(threads)
    (ours,) = files
    assert ours[:10] == plain.getvalue()[:10]
    assert len(ours) < 1.01 * len(plain.getvalue())


@pytest.mark.skipif(shutil.which("gzip") is None, reason="needs gzip")
def test_gzip_itself_finds_it_whole(tmp_path, noise):
    path = tmp_path / "a.gz"
    packed(path, noise * 400)
    subprocess.run(["gzip", "--test", path], check=True)


def test_what_cannot_be_written_is_an_error(tmp_path, noise, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compression, "_deflate", full)
    with pytest.raises(OSError, match="No space left"):
        packed(tmp_path / "a", noise)
    assert (tmp_path / "a").read_bytes() == noise
