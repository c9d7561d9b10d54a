"""The card of a model: all that is needed to use its network correctly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ..html_table import html_table
from ..nddata.header import header_value
from ..preprocess.transform_info import TRANSFORM_INFO, TransformInfo
from ..segmentation.hysteresis import Thresholds
from .card_fields import LATER, check_fields
from .card_rules import short
from .provenance import PROVENANCE_RULES, Provenance
from .recalibration import check_points

__all__ = ["ModelCard"]

TASKS = ("mask", "inpaint")
UNITS = ("electron", "adu", None)
TURNS = (1, 2, 4)
#: Longest card, in characters.
MAX_CARD = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard(Provenance):
    """All that is needed to use a network correctly.

    Parameters
    ----------
    name : str
        Name of the model.
    task : {"mask", "inpaint"}
        Whether it is a detection model, which gives the probability of a cosmic ray, or
        an inpainting model, which fills affected pixels.
    architecture : str
        A key of ``deepcr_ccd.models.networks.build.ARCHITECTURES``.
    arguments : dict
        Arguments of the architecture.
    unit : {"electron", "adu"} or None
        Unit of the input; None if it takes any.
    transform : str
        A key of ``deepcr_ccd.preprocess.transform_info.TRANSFORM_INFO``.
    transform_arguments : dict
        Arguments of the transform, such as ``{"scale": 100}``.
    turns : {1, 2, 4}
        Number of test-time rotations, by quarter turns, whose mean is taken. For the
        task "mask".
    threshold : float
        Probability above which a pixel is a cosmic ray by default.
    extend_threshold : float or None
        Lower probability above which a pixel is a cosmic ray by default if it is
        connected to one of a high probability; see
        ``deepcr_ccd.segmentation.hysteresis``. None for one threshold alone.
    calibration : dict
        How to choose a threshold by its false positive rate: thresholds, by the
        fraction of clean pixels that are flagged at them. For ``target_fpr`` only; it
        changes no probability.
    recalibration : sequence of (float, float)
        How to correct the network's output, before any threshold: points of a curve to
        the fraction of affected pixels among those with such output, which is the
        model's probability. Without points, the probability is the output. See
        ``deepcr_ccd.models.recalibration``.
    ranges : list of (float, float)
        Activation ranges: lowest and highest input of each inner layer of the network,
        for int8; see ``deepcr_ccd.training.quantization``.
    fill : str
        Name of the inpainting model that belongs to this one, if any.
    instrument : str
        Cameras it was trained on, in words; "any" if it is for all.
    filters : list of str
        Filters it was trained on.
    domain : dict
        Header keywords and their values in the frames it was trained on.
    training_data, citation, license, description : str
        Where it comes from.
    scores : dict
        Measured scores, by name.
    **provenance
        Fields of `~deepcr_ccd.models.provenance.Provenance`: version, authors, data
        sets, known limits, the test input and more. None of them is needed.
    """

    name: str
    task: Literal["mask", "inpaint"]
    architecture: str
    arguments: dict = dataclasses.field(default_factory=dict)
    unit: Literal["electron", "adu"] | None = "electron"
    transform: str = "scaled"
    transform_arguments: dict = dataclasses.field(default_factory=dict)
    turns: int = 1
    threshold: float = 0.5
    extend_threshold: float | None = None
    calibration: dict = dataclasses.field(default_factory=dict)
    recalibration: tuple = ()
    ranges: list = dataclasses.field(default_factory=list)
    fill: str = ""
    instrument: str = ""
    filters: list = dataclasses.field(default_factory=list)
    domain: dict = dataclasses.field(default_factory=dict)
    training_data: str = ""
    scores: dict = dataclasses.field(default_factory=dict)
    citation: str = ""
    license: str = ""
    description: str = ""

    def __post_init__(self):
        for field, allowed in (
            ("task", TASKS),
            ("unit", UNITS),
            ("transform", tuple(TRANSFORM_INFO)),
            ("turns", TURNS if self.task == "mask" else TURNS[:1]),
        ):
            value = getattr(self, field)
            # True and 1.0 would be equal to 1.
            if isinstance(value, bool | float) or value not in allowed:
                raise ValueError(
                    f"card of {short(self.name)}: {field}={short(value)}; "
                    f"allowed are {allowed}{LATER}"
                )
        check_fields(vars(self), PROVENANCE_RULES)
        try:
            points = check_points(self.recalibration)
        except (TypeError, ValueError) as error:
            raise ValueError(f"card of {self.name!r}: {error}") from error
        object.__setattr__(self, "recalibration", points)
        extend = self.extend_threshold
        if extend is not None and not 0 <= extend <= self.threshold:
            raise ValueError(
                f"card of {self.name!r}: extend_threshold={extend!r} is not in [0, "
                f"{self.threshold}], up to its threshold"
            )

    def __repr__(self) -> str:
        shown = ["name", "task", "unit"]
        if self.task == "mask":
            shown.append("threshold")
        fields = ", ".join(f"{field}={getattr(self, field)!r}" for field in shown)
        return f"{type(self).__name__}({fields}, ...)"

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        return html_table(f"Model {self.name}", self.facts())

    def facts(self) -> dict[str, Any]:
        """Return what a user wants to know of the model.

        Returns
        -------
        dict
            Values by their names in words; those that are not known are empty.
        """
        is_mask = self.task == "mask"
        return {
            "task": "detection" if is_mask else "inpainting",
            "about": self.description,
            "instrument": self.instrument,
            "filters": self.filters,
            "unit of the input": self.unit or "any",
            "threshold": self.threshold if is_mask else None,
            "extended down to": self.extend_threshold if is_mask else None,
            "test-time rotations": self.turns if self.turns > 1 else None,
            "inpainting model": self.fill,
            "training data": self.training_data,
            "scores": self.scores,
            **self.provenance_facts(),
            "citation": self.citation,
            "licence": self.license,
        }

    @property
    def transform_info(self) -> TransformInfo:
        """Properties of the transform."""
        return TRANSFORM_INFO[self.transform]

    @property
    def uses_noise_facts(self) -> frozenset[str]:
        """Facts about the noise that the transform makes use of."""
        return self.transform_info.uses_noise_facts

    @property
    def scale_free(self) -> bool:
        """Whether a frame times any factor is the same to the network."""
        return self.transform_info.scale_free

    @property
    def uses_star_width(self) -> bool:
        """Whether the network is told how wide the stars of the frame are."""
        return bool(self.arguments.get("star_widths"))

    @property
    def measures_noise(self) -> bool:
        """Whether the network sees frames in units of the noise that is measured."""
        return "known_noise" in self.uses_noise_facts

    def covers(self, header: Mapping | None) -> bool:
        """Tell whether a frame with this header is like those of the training.

        Parameters
        ----------
        header : mapping or None
            The frame's header; without one the answer is no, unless the card's
            instrument is "any".
        """
        if self.instrument == "any":
            return True
        if not header or not self.domain:
            return False
        if any(
            header_value(header, key) != value for key, value in self.domain.items()
        ):
            return False
        filters = {
            header_value(header, key) for key in ("FILTER", "FILTER1", "FILTER2")
        }
        return not self.filters or not filters.isdisjoint(self.filters)

    def threshold_for(self, target_fpr: float) -> float:
        """Return the threshold at which a given fraction of clean pixels is flagged.

        Parameters
        ----------
        target_fpr : float
            The fraction, such as 1e-3; thresholds are interpolated in its logarithm.

        Raises
        ------
        ValueError
            If the card has no calibration, or the fraction is out of its range.
        """
        known = sorted((float(rate), value) for rate, value in self.calibration.items())
        if not known:
            raise ValueError(
                f"target_fpr={target_fpr!r}: the card of {self.name!r} has no "
                "calibration; give threshold="
            )
        rates = [rate for rate, _ in known]
        if not isinstance(target_fpr, int | float | np.floating) or not (
            rates[0] <= target_fpr <= rates[-1]
        ):
            raise ValueError(
                f"target_fpr={target_fpr!r}: {self.name!r} is calibrated from "
                f"{rates[0]:g} to {rates[-1]:g}"
            )
        thresholds = [value for _, value in known]
        return float(np.interp(np.log(target_fpr), np.log(rates), thresholds))

    def thresholds(
        self,
        threshold: float | None = None,
        extend_threshold: float | None = None,
        target_fpr: float | None = None,
    ) -> Thresholds:
        """Return the thresholds to use; by default those of the card.

        Parameters
        ----------
        threshold : float or None
            A probability, above which a pixel is flagged by itself.
        extend_threshold : float or None
            A probability down to which cosmic rays are followed, not above the
            threshold; or 1 for one threshold alone. By default the card's, or the
            threshold if that is lower.
        target_fpr : float or None
            As for `threshold_for`, in place of both thresholds. Cosmic rays are not
            followed: one threshold has the highest true positive rate at a given
            fraction.

        Raises
        ------
        ValueError
            If a threshold is not in [0, 1], the lower one is above the other, or
            ``target_fpr`` is given with a threshold or is out of the calibration's
            range.
        """
        if target_fpr is not None:
            given = {"threshold": threshold, "extend_threshold": extend_threshold}
            for name, value in given.items():
                if value is not None:
                    raise ValueError(f"give {name}= or target_fpr=, not both")
            seed = self.threshold_for(target_fpr)
            return Thresholds(seed, seed)
        seed = self.threshold
        if threshold is not None:
            seed = _probability(threshold, "threshold")
        if extend_threshold is None:
            extend = seed if self.extend_threshold is None else self.extend_threshold
            return Thresholds(seed, min(extend, seed))
        extend = _probability(extend_threshold, "extend_threshold")
        if seed < extend < 1:
            raise ValueError(
                f"extend_threshold={extend_threshold!r} must not be above the "
                f"threshold, {seed:g}; 1 uses the threshold alone"
            )
        return Thresholds(seed, min(extend, seed))

    def to_json(self) -> str:
        """Return the card as JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card from JSON.

        Parameters
        ----------
        text : str
            What `to_json` wrote; unknown fields are ignored, so that cards of
            later versions can be read.

        Raises
        ------
        ValueError
            If it is not a card.
        """
        if len(text) > MAX_CARD:
            raise ValueError(f"not a model card: {len(text)} characters are too many")
        try:
            fields = json.loads(text)
            if not isinstance(fields, dict):
                raise TypeError(f"it holds a {type(fields).__name__}, not an object")
            known = {field.name for field in dataclasses.fields(cls)}
            return cls(**{key: fields[key] for key in fields if key in known})
        except RecursionError:
            raise ValueError(
                "not a model card: brackets within too many others"
            ) from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a model card: {error}") from error


def _probability(value: float, name: str) -> float:
    try:
        number = np.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 <= number <= 1:
        raise ValueError(f"{name}={value!r} must be a probability in [0, 1]")
    return number
