"""The demonstration: clean an example frame, write it, and draw it."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData

from .core.cosmicray import cosmicray_deepcr
from .io.atomic import atomic_path
from .io.given_paths import FOLDER, given_path
from .io.stream import open_regular
from .models.model import Model
from .models.zoo import DEFAULT_MODEL, load_model
from .notices import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["example_frame", "run", "simulate"]

#: Keyword, and text in a picture, that mark files of the demo, which it may replace;
#: and the bytes at the start of a file in which they are looked for.
KEYWORD = "CRDEMO"
SOFTWARE = "deepcr-ccd demo"
HEADER_SIZE = 1 << 16


def simulate(
    shape: tuple[int, int] = (256, 256),
    *,
    n_stars: int = 40,
    n_tracks: int = 15,
    seed: int = 1,
) -> CCDData:
    """Simulate a frame of stars with straight tracks across it.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)``.
    n_stars, n_tracks : int
        Numbers of stars and of cosmic rays.
    seed : int
        Of the random numbers.

    Returns
    -------
    `~astropy.nddata.CCDData`
        float32, ``(ny, nx)``, in electron; ``meta["TRACKS"]`` is the number of pixels
        that the tracks cross.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    scene = np.full(shape, 60.0)
    for _ in range(n_stars):
        y0, x0 = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        flux = 300 * rng.pareto(1.0) + 300
        radius2 = ((y - y0) ** 2 + (x - x0) ** 2) / 1.6**2
        scene += min(flux, 3e4) * 0.4 * (1 + radius2) ** -2.5
    tracks = np.zeros(shape)
    for _ in range(n_tracks):
        angle, length = rng.uniform(0, 2 * np.pi), rng.exponential(8) + 1
        steps = np.arange(0, length, 0.5)
        rows = (rng.uniform(0, shape[0]) + steps * np.sin(angle)).astype(int)
        columns = (rng.uniform(0, shape[1]) + steps * np.cos(angle)).astype(int)
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        np.add.at(tracks, (rows[inside], columns[inside]), rng.uniform(200, 1500))
    data = rng.poisson(scene) + tracks + rng.normal(0, 5, shape)
    ccd = CCDData(data.astype(np.float32), unit=u.electron)
    ccd.meta["TRACKS"] = int(np.count_nonzero(tracks))
    return ccd


def example_frame() -> tuple[CCDData, str, str]:
    """Return an example frame, its name, and its origin.

    Returns
    -------
    ccd : `~astropy.nddata.CCDData`
        A frame of the SAAO 1.0 m telescope that ccdproc ships, overscan subtracted
        and trimmed, in adu with the keyword GAIN; a simulated one without ccdproc.
    name, origin : str
        A name for files, and where the frame comes from, in words.
    """
    found = importlib.util.find_spec("ccdproc")
    if found is not None and found.origin:
        path = Path(found.origin).parent / "tests" / "data" / "a8280271.fits"
        if path.is_file():
            import ccdproc

            ccd = CCDData.read(path, unit=u.adu)
            ccd = ccdproc.subtract_overscan(
                ccd, fits_section=ccd.header["BIASSEC"], median=True
            )
            ccd = ccdproc.trim_image(ccd, fits_section=ccd.header["TRIMSEC"])
            return ccd, path.stem, "SAAO 1.0 m, STE3 CCD, 150 s, from ccdproc"
    return simulate(), "simulated", "simulated: install ccdproc for a real frame"


def run(
    folder: str | os.PathLike,
    *,
    model: str | Model = DEFAULT_MODEL,
    overwrite: bool = False,
) -> Iterator[str]:
    """Clean the example frame, and report line by line.

    Parameters
    ----------
    folder : str or path-like
        Where the FITS file and the pictures are written: the frame before and after, a
        sheet of cosmic rays, and, where astroscrappy is installed, the comparison with
        it. The folder is made if it is not there.
    model : str or Model
        As for `~deepcr_ccd.cosmicray_deepcr`.
    overwrite : bool
        Replace existing files; those of an earlier demo are replaced anyway.

    Yields
    ------
    str
        A line of report.

    Raises
    ------
    FileExistsError
        If a file exists and must not be replaced.
    ValueError, FileNotFoundError, ImportError
        If ``folder`` is empty, or the model cannot be loaded, as
        `~deepcr_ccd.load_model`.
    """
    folder = given_path(folder, "folder", FOLDER)
    ccd, name, origin = example_frame()
    fits_path = folder / f"{name}_clean.fits"
    pictures = [folder / f"{name}{end}.png" for end in ("", "_cutouts", "_comparison")]
    for path in (fits_path, *pictures):
        if os.path.lexists(path) and not overwrite and not _is_from_a_demo(path):
            raise FileExistsError(
                f"{path} exists and is not from a demo; overwrite=True replaces it"
            )
    ny, nx = ccd.shape
    yield f"frame: {name}, {ny} x {nx} px, {origin}"
    start = time.perf_counter()
    model = load_model(model, task="mask")
    loaded = time.perf_counter()
    gain = "GAIN" if ccd.unit != u.electron and model.card.unit else None
    cleaned = cosmicray_deepcr(ccd, model=model, gain=gain)
    done = time.perf_counter()
    header = cleaned.header
    yield f"model: {model.card.name}, loaded in {loaded - start:.2f} s"
    yield (
        f"found: {counted(header['CRNOBJ'], 'cosmic ray')}, {header['CRNPIX']} px, "
        f"filled by {header['CRFILL']}, in {done - loaded:.2f} s"
    )
    folder.mkdir(parents=True, exist_ok=True)
    header[KEYWORD] = (True, "made by deepcr-ccd demo")
    with atomic_path(fits_path, overwrite=True) as partial:
        cleaned.write(partial, format="fits", overwrite=True)
    yield f"wrote: {fits_path}"
    try:
        yield from _draw(ccd, cleaned, pictures)
    except ImportError:
        yield 'no pictures: they need matplotlib, pip install "deepcr_ccd[plot]"'


def _is_from_a_demo(path: Path) -> bool:
    """Return whether a file is from a demo, by the mark in its header."""
    try:
        with open_regular(path) as file:
            begin = file.read(HEADER_SIZE)
    except OSError:
        return False
    return (
        f"{KEYWORD:8}=".encode() in begin or f"Software\0{SOFTWARE}".encode() in begin
    )


def _draw(ccd: CCDData, cleaned: CCDData, paths: list[Path]) -> Iterator[str]:
    """Write the pictures, and report each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .plot import plot_before_after, plot_comparison, plot_cutouts

    def new_figure(width: float, height: float) -> Figure:
        figure = Figure(figsize=(width, height), layout="constrained")
        return FigureCanvasAgg(figure).figure

    figure = new_figure(15, 5.4)
    axes = figure.subplots(1, 3)
    plot_before_after(ccd, cleaned.mask, cleaned, axes, unit=str(ccd.unit))
    yield _write(figure, paths[0])
    figure = new_figure(14.4, 8)
    plot_cutouts(ccd, cleaned, fig=figure)
    yield _write(figure, paths[1])
    if importlib.util.find_spec("astroscrappy") is None:
        yield (
            "no comparison: it needs astroscrappy, "
            'pip install "deepcr_ccd[astroscrappy]"'
        )
        return
    figure = new_figure(8, 8.6)
    plot_comparison(
        ccd,
        cleaned.mask,
        "astroscrappy",
        axes=figure.subplots(),
        gain="GAIN" if "GAIN" in ccd.header else None,
        readnoise=ccd.header.get("RDNOISE"),
    )
    yield _write(figure, paths[2])


def _write(figure: Figure, path: Path) -> str:
    """Write a picture that is marked as one of the demo."""
    with atomic_path(path, overwrite=True) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": SOFTWARE})
    return f"wrote: {path}"
