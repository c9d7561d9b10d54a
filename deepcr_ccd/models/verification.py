"""Test inputs of models, and whether a model gives what its author saw.

A model file may hold a frame, the CR mask for an inpainting model, and the output that
the network gave for them. They are tensors beside the weights, of reserved names.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from astropy.nddata import NDData

from ..html_table import html_table
from ..nddata.array_classes import take_apart
from ..simulation.reference_frame import make_reference_frame

__all__ = [
    "ORIGIN",
    "RESERVED",
    "TOLERANCE",
    "ModelTest",
    "Verification",
    "check_test_shapes",
    "digest_of",
    "make_test",
    "run_test",
    "verify",
]

#: Names of tensors that begin so are no weights.
RESERVED = "test."
NAMES = ("test.input", "test.mask", "test.output")
#: Narrowest and widest test input in px, and the largest number in it.
MIN_SIZE, MAX_SIZE, MAX_VALUE = 64, 512, 1e12
#: Dtypes that they may have in a file; other names are those of safetensors.
DTYPES = {
    "test.input": ("F32", "F16", "I16"),
    "test.mask": ("BOOL",),
    "test.output": ("F32", "F16"),
}
#: By how much the output may differ: rounding to 16 bits, and other processors.
TOLERANCE = 0.002
ORIGIN = "a frame of stars and cosmic rays, simulated by deepcr_ccd"
#: Words for what a check found.
WORDS = {True: "passed", False: "FAILED", None: "not checked"}


@dataclasses.dataclass(frozen=True, eq=False)
class ModelTest:
    """A frame, and what a model gave for it.

    Attributes
    ----------
    frame : `~numpy.ndarray`
        float32, ``(ny, nx)``, finite, in the unit of the model's card.
    mask : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, the CR mask, for inpainting models.
    output : `~numpy.ndarray`
        float32: the probability, ``(ny, nx)``, or the fill of each masked pixel, in the
        order of ``frame[mask]``.
    """

    frame: np.ndarray
    mask: np.ndarray | None
    output: np.ndarray

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return it as tensors of reserved names, in 16 bits where that serves."""
        frame, output = self.frame, self.output
        whole = frame.astype(np.int16) if np.abs(frame).max() < 2**15 else frame
        arrays = {
            "test.input": whole if (whole == frame).all() else frame,
            "test.output": output.astype(np.float16) if self.mask is None else output,
        }
        if self.mask is not None:
            arrays["test.mask"] = self.mask
        return {
            key: torch.from_numpy(np.ascontiguousarray(array))
            for key, array in arrays.items()
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, torch.Tensor], task: str
    ) -> ModelTest | None:
        """Return what `tensors` made, or None if there is nothing.

        Parameters
        ----------
        tensors : mapping
            By name; those of other names are left aside. See `check_test_shapes`.
        task : {"mask", "inpaint"}
            Of the model.

        Raises
        ------
        ValueError
            If one is missing, does not fit the others, or is not finite.
        """
        found = {key: value.numpy() for key, value in tensors.items() if key in NAMES}
        if not found:
            return None
        wanted = set(NAMES) - ({"test.mask"} if task == "mask" else set())
        if set(found) != wanted:
            raise ValueError(
                f"tests of models for task {task!r} have {', '.join(sorted(wanted))}, "
                f"not {', '.join(sorted(found))}"
            )
        frame = found["test.input"].astype(np.float32)
        mask = found.get("test.mask")
        output = found["test.output"].astype(np.float32)
        for key, array in (("test.input", frame), ("test.output", output)):
            if not (np.abs(array) <= MAX_VALUE).all():
                raise ValueError(f"{key!r} holds numbers beyond {MAX_VALUE:g}, or NaN")
        shape = frame.shape if mask is None else (np.count_nonzero(mask),)
        if output.shape != shape or (mask is not None and mask.shape != frame.shape):
            raise ValueError(f"'test.output' has shape {output.shape}, not {shape}")
        return cls(frame, mask, output)


def check_test_shapes(found: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Raise a ValueError if tensors of reserved names can be no test of a model.

    Parameters
    ----------
    found : mapping
        Dtype, as safetensors calls it, and shape by name. Nothing has to be read.
    """
    for key, (dtype, shape) in found.items():
        if key not in NAMES:
            raise ValueError(f"{key!r} is unknown; known are {', '.join(NAMES)}")
        if dtype not in DTYPES[key]:
            raise ValueError(f"{key!r} holds {dtype}, not {' or '.join(DTYPES[key])}")
        flat = key == "test.output" and len(shape) == 1
        low, high = (1, MAX_SIZE**2) if flat else (MIN_SIZE, MAX_SIZE)
        if not (flat or len(shape) == 2) or not all(low <= n <= high for n in shape):
            raise ValueError(
                f"{key!r} has shape {tuple(shape)}, not (ny, nx) from {MIN_SIZE} to "
                f"{MAX_SIZE} px a side"
            )


def digest_of(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 of tensors: of names, dtypes, shapes and values.

    Parameters
    ----------
    tensors : mapping
        By name. Order and memory layout do not matter.
    """
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().cpu().contiguous()
        array = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        digest.update(f"{key} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def make_test(
    model: Any, frame: np.ndarray | None = None, mask: np.ndarray | None = None
) -> ModelTest:
    """Run a model on a frame, in float32 on the CPU, by PyTorch.

    Parameters
    ----------
    model : Model
        The model.
    frame : `~numpy.ndarray`, optional
        ``(ny, nx)``, in the unit of the model's card; by default a simulated one, of
        128 px. Whole numbers take half the space.
    mask : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``, the CR mask, for inpainting models; by default that of the
        simulated frame.

    Returns
    -------
    ModelTest

    Raises
    ------
    TypeError
        If the frame holds no real numbers, or has a unit or a mask of its own; or the
        mask is not bool.
    ValueError
        If the frame is too small, too large or not finite, the mask does not fit it, is
        empty or is for a detection model, or the output is not finite.
    """
    if model.card.task == "mask" and mask is not None:
        raise ValueError("mask= is for inpainting models, not for detection models")
    if frame is None:
        frame, truth = make_reference_frame()
        if model.card.task == "inpaint" and mask is None:
            mask = truth
    frame = _as_numbers(frame, "frame").astype(np.float32)
    if mask is not None:
        mask = _as_numbers(mask, "mask")
        if mask.dtype != bool:
            raise TypeError(f"mask of dtype {mask.dtype} must be bool")
    if frame.ndim != 2 or not all(MIN_SIZE <= n <= MAX_SIZE for n in frame.shape):
        raise ValueError(
            f"frame of shape {frame.shape} must be (ny, nx), from {MIN_SIZE} to "
            f"{MAX_SIZE} px a side"
        )
    if not (np.abs(frame) <= MAX_VALUE).all():
        raise ValueError(f"frame holds numbers beyond {MAX_VALUE:g}, or NaN")
    if model.card.task == "inpaint" and (
        mask is None or mask.shape != frame.shape or not mask.any()
    ):
        raise ValueError("mask must be True at some pixels, and of the frame's shape")
    test = ModelTest(frame, mask, np.empty(0))
    output = run_test(model.to("cpu", "float32", "torch"), test)
    if not np.isfinite(output).all():
        raise ValueError(f"the output of {model.card.name!r} for it is not finite")
    return dataclasses.replace(test, output=output)


def _as_numbers(given: Any, name: str) -> np.ndarray:
    """Return an array of real numbers or bool; ``name`` is that of the argument."""
    what = "bool" if name == "mask" else "real numbers"
    words = f"must be a plain array of {what}, (ny, nx)"
    kind = type(given).__name__
    data, mask, unit = take_apart(given)
    if isinstance(given, NDData) or mask is not None or unit is not None:
        raise TypeError(
            f"{name} is a {kind}, whose unit and mask would be lost: it {words}"
        )
    try:
        array = np.asarray(data)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf":
        held = "" if array.dtype == object else f" of {array.dtype}"
        raise TypeError(f"{name} is a {kind}{held}: it {words}")
    return array


def run_test(model: Any, test: ModelTest) -> np.ndarray:
    """Return the output of a model for a test input.

    Parameters
    ----------
    model : Model
        The model, which runs as it is.
    test : ModelTest
        The test, whose output is not used.
    """
    if test.mask is None:
        return model.probability(test.frame)
    return model.fill(test.frame, test.mask)[0]


@dataclasses.dataclass(frozen=True)
class Verification:
    """Whether a model gives what its author saw.

    Attributes
    ----------
    name : str
        Of the model.
    checks : dict
        By the name of a check, whether it passed, or None if there was nothing to check
        with, and what was found, in words.
    """

    name: str
    checks: dict[str, tuple[bool | None, str]]

    @property
    def passed(self) -> bool:
        """Whether every check was made, and passed."""
        return all(passed is True for passed, _ in self.checks.values())

    @property
    def failed(self) -> bool:
        """Whether a check failed; without anything to check with, none does."""
        return any(passed is False for passed, _ in self.checks.values())

    def __str__(self) -> str:
        lines = [
            f"{check}: {WORDS[passed]}, {found}"
            for check, (passed, found) in self.checks.items()
        ]
        return "\n".join([f"{self.name}: {self._verdict()}", *lines])

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        rows = {
            check: f"{WORDS[passed]}, {found}"
            for check, (passed, found) in self.checks.items()
        }
        return html_table(f"Model {self.name}: {self._verdict()}", rows)

    def _verdict(self) -> str:
        if self.passed:
            return "verified"
        return "FAILED" if self.failed else "not verified"


def verify(model: Any) -> Verification:
    """Check the weights of a model against their digest, and run its test input.

    Parameters
    ----------
    model : Model
        It runs where it is, by its engine, in float32.

    Returns
    -------
    Verification
    """
    card = model.card
    checks: dict[str, tuple[bool | None, str]] = {}
    found = digest_of(model.network.state_dict())
    if not card.sha256:
        checks["weights"] = (None, "the card has no sha256")
    elif found != card.sha256:
        checks["weights"] = (False, f"sha256 {found}, in the card {card.sha256}")
    else:
        checks["weights"] = (True, f"sha256 {found}")
    checks["test input"] = _run_and_compare(model)
    return Verification(card.name, checks)


def _run_and_compare(model: Any) -> tuple[bool | None, str]:
    test = model.test
    if test is None:
        return None, "the file has none"
    try:
        output = run_test(model.to(precision="float32"), test)
    except (ValueError, RuntimeError) as error:
        return False, str(error).partition("\n")[0]
    tolerance = model.card.test_tolerance
    tolerance = TOLERANCE if tolerance is None else tolerance
    scale = np.maximum(np.abs(test.output), 1)
    if output.shape != test.output.shape or not np.isfinite(output).all():
        return False, "the output has another shape, or is not finite"
    differences = np.abs(output - test.output) / scale
    worst, count = float(differences.max()), np.count_nonzero(differences > tolerance)
    found = f"largest difference {worst:.1e}, tolerance {tolerance:g}"
    if count:
        found += f", exceeded in {count} of {output.size} values"
    return not count, f"{found} ({model.device}, {model.engine})"
