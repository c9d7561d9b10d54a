"""Masks are saved as the commands write them, and never over an input."""

import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sample_files import hst_like

from deepcr_ccd import clean_files
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.cli.parser import build_parser
from deepcr_ccd.demo import simulate
from deepcr_ccd.inspection import saving
from deepcr_ccd.inspection.images import file_source
from deepcr_ccd.inspection.inspection import Inspection
from deepcr_ccd.inspection.page.api import Api
from deepcr_ccd.inspection.recipe import command_line, python_call
from deepcr_ccd.inspection.saving import save
from deepcr_ccd.inspection.session import inspect_file
from deepcr_ccd.options import CleanOptions

EXACT = {"model": "universal", "device": "cpu", "precision": "float32"}


def opened(path, output, **options):
    chosen = FileOptions(**EXACT | options)
    model = chosen.load_model()
    defaults = model.card.thresholds(None, None, None)
    source = file_source(path, chosen, model)
    return Inspection(source, chosen, defaults, output=output)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    frame = simulate((90, 100), n_stars=6, n_tracks=8, seed=2)
    return hst_like(tmp_path_factory.mktemp("saving") / "two.fits", frame)


def without_digests(path):
    """All that is in a file but the digest, which tells a later run what was made."""
    with fits.open(path) as hdus:
        for hdu in hdus:
            hdu.header.remove("CRDIGEST", ignore_missing=True)
        return [(hdu.header.tostring(), np.asarray(hdu.data).tobytes()) for hdu in hdus]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("flags", {"inpaint": None}),
        ("filled", {}),
        ("masks", {"masks_only": True}),
    ],
)
def test_without_edits_it_is_what_the_commands_write(path, tmp_path, kind, options):
    clean_files(path, tmp_path / "clean", grow=1, **EXACT, **options)
    inspection = opened(path, tmp_path / "judged", grow=1)
    before = path.read_bytes()
    saved = save(inspection, kind)
    assert saved == tmp_path / "judged" / "two.fits"
    assert without_digests(saved) == without_digests(tmp_path / "clean" / "two.fits")
    assert path.read_bytes() == before


def test_stacks_are_saved_plane_by_plane(tmp_path):
    frame = simulate((60, 64), n_stars=4, n_tracks=5)
    cube = np.stack([frame.data, frame.data[::-1]])
    path = tmp_path / "cube.fits"
    fits.PrimaryHDU(cube).writeto(path)
    clean_files(path, tmp_path / "clean", **EXACT)
    inspection = opened(path, tmp_path / "judged")
    titles = [tab.title for tab in inspection.source.tabs]
    assert titles == ["PRIMARY [0]", "PRIMARY [1]"]
    saved = save(inspection, "filled")
    assert without_digests(saved) == without_digests(tmp_path / "clean" / "cube.fits")


def test_files_are_replaced_only_where_asked(path, tmp_path):
    inspection = opened(path, tmp_path)
    (tmp_path / "two.fits").write_text("precious")
    with pytest.raises(FileExistsError, match="exists"):
        save(inspection, "masks")
    assert (tmp_path / "two.fits").read_text() == "precious"
    assert save(inspection, "masks", replace=True).stat().st_size > 2880
    with pytest.raises(ValueError, match="kind='pictures'"):
        save(inspection, "pictures")
    assert sorted(os.listdir(tmp_path)) == ["two.fits"]


def test_a_page_may_change_the_mask_while_it_is_saved(path, tmp_path, monkeypatch):
    api = Api(opened(path, tmp_path))
    state, crmask = api.inspection.state, api.inspection.mask(0)

    def change(_):
        state.change(0, state.revision, 0, 0, 5, [["add", [0, 1]]])

    monkeypatch.setattr(saving, "check_outputs", change)
    shown = {"pixels": int(crmask.sum()), "checksum": int(np.flatnonzero(crmask).sum())}
    answer = api.save(0, 0, "masks", False, **shown)
    assert answer["unsaved"] and state.has_unsaved_changes
    with fits.open(answer["path"]) as hdus:
        np.testing.assert_array_equal(hdus[1].data > 0, crmask)
    assert api.inspection.mask(0).sum() > crmask.sum()


def test_an_input_is_never_replaced(path, tmp_path):
    with pytest.raises(ValueError, match="never"):
        inspect_file(path, path.parent, browser=False, overwrite=True, **EXACT)
    link = tmp_path / "link"
    inspection = opened(path, link)
    link.symlink_to(path.parent)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="never"):
        save(inspection, "flags", replace=True)
    assert path.read_bytes() == before


def test_a_changed_input_is_not_saved(path, tmp_path):
    copy = tmp_path / "two.fits"
    copy.write_bytes(path.read_bytes())
    inspection = opened(copy, tmp_path / "out")
    os.utime(copy, ns=(1, 1))
    with pytest.raises(OSError, match="changed"):
        save(inspection, "flags")
    assert not (tmp_path / "out").exists()


def test_commands_make_the_same_mask(path, tmp_path):
    options = FileOptions(gain=1.5, ext=["SCI,2", "SCI"], model="universal")
    inspection = opened(path, tmp_path)
    settings = inspection.state.settings
    assert command_line(path, settings, options) == (
        f"deepcr-ccd mask {path} -o masks --threshold 0.45 --extend-threshold 0.2 "
        "--gain 1.5 --ext SCI,2 --ext SCI"
    )
    # Names that begin with a dash are no options, as the command's own parser reads it.
    options = FileOptions(ext="SCI", model="-mine.safetensors")
    command = command_line(Path("-y.fits"), settings, options)
    assert command == (
        "deepcr-ccd mask -o masks --threshold 0.45 --extend-threshold 0.2 "
        "--model=-mine.safetensors --ext SCI -- -y.fits"
    )
    typed = build_parser().parse_args(shlex.split(command)[1:])
    assert typed.files == ["-y.fits"] and typed.ext == ["SCI"]
    assert typed.model == "-mine.safetensors" and typed.threshold == 0.45
    settings = settings._replace(thresholds=settings.thresholds._replace(extend=0.45))
    assert python_call(settings, CleanOptions(readnoise="RDNOISE")) == (
        "cosmicray_deepcr(ccd, threshold=0.45, extend_threshold=1, "
        "readnoise='RDNOISE').mask"
    )
