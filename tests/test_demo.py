import importlib.util
import sys

import numpy as np
import pytest
from astropy import units as u

from deepcr_ccd import cosmicray_deepcr, demo


def test_simulated_frame_is_reproducible_and_its_tracks_are_found():
    ccd = demo.simulate(seed=4)
    again = demo.simulate(seed=4)
    np.testing.assert_array_equal(ccd.data, again.data)
    assert ccd.unit == u.electron
    found = cosmicray_deepcr(ccd).mask.sum()
    assert 0.8 < found / ccd.meta["TRACKS"] < 1.5


def test_without_ccdproc_and_matplotlib(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "ccdproc" else find(n)
    )
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    lines = list(demo.run(tmp_path / "new"))
    assert "simulated: install ccdproc for a real frame" in lines[0]
    assert (tmp_path / "new" / "simulated_clean.fits").is_file()
    assert 'pip install "deepcr_ccd[plot]"' in lines[-1]
    assert not list((tmp_path / "new").glob("*.png"))
    # Its own results are replaced, and nothing else.
    assert len(list(demo.run(tmp_path / "new"))) == len(lines)
    result = tmp_path / "new" / "simulated_clean.fits"
    result.write_text("notes")
    with pytest.raises(FileExistsError, match="is not from a demo; overwrite=True"):
        list(demo.run(tmp_path / "new"))
    assert result.read_text() == "notes"
    list(demo.run(tmp_path / "new", overwrite=True))
    assert result.read_bytes().startswith(b"SIMPLE")


def test_pictures(tmp_path, monkeypatch):
    lines = list(demo.run(tmp_path))
    names = {path.name for path in tmp_path.glob("*.png")}
    stem = next(tmp_path.glob("*.fits")).name.removesuffix("_clean.fits")
    assert names == {f"{stem}{end}.png" for end in ("", "_cutouts", "_comparison")}
    for name in names:
        assert f"wrote: {tmp_path / name}" in lines
        assert b"Software\0deepcr-ccd demo" in (tmp_path / name).read_bytes()
    # One that is there and is not from a demo stops it before anything is written.
    (tmp_path / f"{stem}_cutouts.png").write_bytes(b"other")
    with pytest.raises(FileExistsError, match="_cutouts.png exists and is not from"):
        list(demo.run(tmp_path))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "astroscrappy" else find(n)
    )
    lines = list(demo.run(tmp_path / "without"))
    assert lines[-1] == (
        'no comparison: it needs astroscrappy, pip install "deepcr_ccd[astroscrappy]"'
    )
    assert not list((tmp_path / "without").glob("*_comparison.png"))
