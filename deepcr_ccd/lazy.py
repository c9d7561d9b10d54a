"""Names of a package that are imported when they are first used.

PyTorch and Astropy take seconds to load. A package that imports its names in this way
(PEP 562) loads neither until one of them is used.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, modules: Mapping[str, str], subpackages: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : mapping of str
        For each public name the module that defines it, such as ``".core.filling"``.
    subpackages : iterable of str
        Packages and modules in it that are public too.

    Returns
    -------
    getattr, dir : callable
        The first imports a name and keeps it; the second lists the public names.

    Examples
    --------
    >>> get, names = lazy_names("deepcr_ccd", {"suggestion": ".notices"}, ["plot"])
    >>> names()
    ['plot', 'suggestion']
    >>> get("suggestion").__module__
    'deepcr_ccd.notices'
    """
    subpackages = frozenset(subpackages)

    def get(name: str) -> Any:
        if name in modules:
            value = getattr(importlib.import_module(modules[name], package), name)
        elif name in subpackages:
            value = importlib.import_module(f".{name}", package)
        else:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}",
                name=name,
                obj=sys.modules.get(package),
            )
        # Not asked again for this name.
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted([*modules, *subpackages])

    return get, names
