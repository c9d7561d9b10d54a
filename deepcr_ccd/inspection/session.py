"""Sessions: a frame or a file, its server, and what Python sees of them."""

from __future__ import annotations

import dataclasses
import os
import webbrowser
from types import TracebackType
from typing import Any

import numpy as np

from ..batch.options import FileOptions
from ..batch.outputs import check_folder, check_outputs
from ..io.given_paths import FITS_FILE, FOLDER, given_path
from ..nddata.typing import CCDLike
from ..notices import refuse_arguments
from ..options import CleanOptions
from .images import Source, file_source, frame_source
from .inspection import Inspection
from .page.api import Api
from .page.server import Server
from .page.widget import make_widget
from .recipe import python_call

__all__ = ["Session", "inspect", "inspect_file"]

LARGEST_PORT = 65535


class Session:
    """A page on which a person judges the mask of a frame.

    It is made by `~deepcr_ccd.inspect`. As a context manager it is closed at the end.

    Parameters
    ----------
    inspection : `~deepcr_ccd.inspection.inspection.Inspection`
        What is inspected.
    port : int
        Of the server; 0 takes any that is free.
    """

    def __init__(self, inspection: Inspection, port: int = 0):
        self._inspection = inspection
        self._api = Api(inspection)
        self._server: Server | None = Server(self._api, port)
        self._server.start()

    @property
    def url(self) -> str:
        """A link to the page. It works once; each time it is read, it is a new one.

        Raises
        ------
        ValueError
            If the session is closed.
        """
        if self._server is None:
            raise ValueError("the session is closed")
        return self._server.new_link()

    @property
    def mask(self) -> np.ndarray:
        """The mask as the page shows it: bool, of the shape of the frame.

        The search for cosmic rays is waited for. It stays after the session is closed.
        """
        return self._inspection.image_mask(0)

    @property
    def call(self) -> str:
        """The Python call that makes the same mask without edits."""
        state = self._inspection.state
        return python_call(state.settings, self._inspection.options)

    @property
    def has_unsaved_changes(self) -> bool:
        """Whether a person has changed the mask since the start or since it was saved.

        Thresholds and growth count, and edits by hand.
        """
        return self._inspection.state.has_unsaved_changes

    def widget(self) -> Any:
        """Return the page as a widget, which a notebook shows in a cell.

        It needs no server, and so works where the kernel is on another machine. It
        needs anywidget: ``pip install "deepcr_ccd[inspect]"``.

        Raises
        ------
        ImportError
            If anywidget is not installed.
        """
        return make_widget(self._api)

    def close(self) -> None:
        """Stop the server; the page does not work any more."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self._inspection.source.name
        where = "closed" if self._server is None else f"port {self._server.server_port}"
        return f"<Session: {name}, {where}>"


def inspect(
    ccd: CCDLike, *, port: int = 0, browser: bool = True, **options: Any
) -> Session:
    """Show a frame and its cosmic rays on a page, to judge and edit the mask.

    The page is served to this machine only, see :doc:`/inspect`.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`, other NDData, Quantity or array-like
        Frame of shape ``(ny, nx)``, or a stack ``(n, ny, nx)``. It is not modified.
    port : int
        Of the server; 0 takes any that is free.
    browser : bool
        Whether to open the page in a browser.
    **options
        ``model``, ``gain``, ``readnoise``, ``threshold``, ``extend_threshold``,
        ``target_fpr``, ``grow``, ``inpaint``, ``satlevel``, ``psffwhm``, ``device``,
        ``precision``, ``engine`` and ``tile_size``, as for
        `~deepcr_ccd.cosmicray_deepcr`; ``inpaint`` is how the page fills flagged
        pixels.

    Returns
    -------
    Session
        ``session.mask`` is the mask as the page shows it, ``session.url`` a link to the
        page, ``session.close()`` ends it.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError, ImportError
        As `~deepcr_ccd.cosmicray_deepcr`; or if ``port`` is none.
    OSError
        If the port is not free.

    Examples
    --------
    >>> from deepcr_ccd import cosmicray_deepcr, inspect
    >>> from deepcr_ccd.demo import simulate
    >>> frame = simulate((64, 64))
    >>> with inspect(frame, browser=False, device="cpu") as session:
    ...     mask = session.mask
    >>> bool((mask == cosmicray_deepcr(frame, device="cpu").mask).all())
    True
    """
    known = [field.name for field in dataclasses.fields(CleanOptions)]
    unknown = {name: options[name] for name in options if name not in known}
    refuse_arguments("inspect", unknown, [*known, "port", "browser"])
    chosen = CleanOptions(**options)
    _check_port(port)
    model = chosen.load_model()
    chosen.thresholds(model)
    source = frame_source(ccd, chosen, model)
    inspection = Inspection(source, chosen, model.card.thresholds(None, None, None))
    return _begin(inspection, port, browser)


def inspect_file(
    path: str | os.PathLike,
    output: str | os.PathLike,
    *,
    overwrite: bool = False,
    port: int = 0,
    browser: bool = True,
    **options: Any,
) -> Session:
    """Show the images of a file and their cosmic rays on a page.

    Parameters
    ----------
    path : str or path-like
        The file, which is not modified.
    output : str or path-like
        Folder for the result, which has the file's name. It is made when the mask is
        saved.
    overwrite : bool
        Whether the result may replace a file; the input is never replaced.
    port, browser
        As for `inspect`.
    **options
        As for `~deepcr_ccd.clean_files`.

    Returns
    -------
    Session

    Raises
    ------
    TypeError, ValueError, ImportError, OSError
        If something is not what is allowed, the file cannot be read, or ``output`` is a
        file or must not be written to.
    """
    chosen = FileOptions(**options)
    _check_port(port)
    file = given_path(path, "path", FITS_FILE)
    folder = given_path(output, "output", FOLDER)
    check_folder(folder)
    check_outputs([(file, folder / file.name)])
    model = chosen.load_model()
    chosen.check_model(model)
    source: Source = file_source(file, chosen, model)
    inspection = Inspection(
        source,
        chosen,
        model.card.thresholds(None, None, None),
        output=folder,
        overwrite=overwrite,
    )
    return _begin(inspection, port, browser)


def _begin(inspection: Inspection, port: int, browser: bool) -> Session:
    session = Session(inspection, port)
    if browser:
        webbrowser.open(session.url)
    return session


def _check_port(port: Any) -> None:
    whole = isinstance(port, int | np.integer) and not isinstance(port, bool)
    if not whole or not 0 <= port <= LARGEST_PORT:
        raise ValueError(f"port={port!r} must be a whole number from 0 to 65535")
