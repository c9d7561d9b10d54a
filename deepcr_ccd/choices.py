"""What users can choose by name: engines, precisions, fill methods, the default model.

The command offers these without loading PyTorch.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

__all__ = [
    "DEFAULT_MODEL",
    "DQ_CONVENTIONS",
    "ENGINES",
    "FILL_METHODS",
    "PRECISIONS",
    "EngineName",
    "FillMethod",
    "PrecisionName",
]

#: The model that is used where none is named.
DEFAULT_MODEL = "universal"

#: What runs a network.
EngineName: TypeAlias = Literal["auto", "torch", "openvino"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

#: Precisions of the computation.
PrecisionName: TypeAlias = Literal["auto", "float32", "bfloat16", "int8"]
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)

#: How CR-affected pixels may be filled.
FillMethod: TypeAlias = Literal[
    "auto", "median", "mean", "idw", "interpolate", "network"
]
FILL_METHODS: tuple[FillMethod, ...] = get_args(FillMethod)

#: Conventions of data-quality flags, by observatory.
DQ_CONVENTIONS = ("hst", "jwst", "gemini", "noirlab", "des", "eso", "lsst")
