"""The card of a model: what its network needs to be used rightly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import numpy as np

from .transforms import TRANSFORMS

__all__ = ["ModelCard"]

TASKS = ("mask", "inpaint")
UNITS = ("electron", "adu", None)
TURNS = (1, 2, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a network needs to be used rightly.

    Parameters
    ----------
    name : str
        Name of the model.
    task : {"mask", "inpaint"}
        Whether it gives the probability of a cosmic ray or fills struck pixels.
    architecture : str
        A key of ``deepcr_ccd.networks.ARCHITECTURES``.
    arguments : dict
        Arguments of the architecture.
    unit : {"electron", "adu"} or None
        Unit of the input; None if it takes any.
    transform : str
        A key of ``deepcr_ccd.transforms.TRANSFORMS``.
    transform_arguments : dict
        Arguments of the transform, such as ``{"scale": 100}``.
    turns : {1, 2, 4}
        How many quarter turns of a frame the network looks at; what it finds is the
        mean. For the task "mask".
    threshold : float
        Probability above which a pixel is a cosmic ray by default.
    calibration : dict
        Thresholds, by the share of clean pixels that are flagged at them.
    ranges : list of (float, float)
        Lowest and highest numbers that go into each inner layer of the network, for
        int8; see ``deepcr_ccd.training.ranges``.
    fill : str
        Name of the inpainting model that belongs to this one, if any.
    instrument : str
        Cameras it was trained on, in words; "any" if it is made for all.
    filters : list of str
        Filters it was trained on.
    domain : dict
        Header keywords and their values in the frames it was trained on.
    training_data, citation, license, description : str
        Where it comes from.
    scores : dict
        Measured scores, by name.
    """

    name: str
    task: str
    architecture: str
    arguments: dict = dataclasses.field(default_factory=dict)
    unit: str | None = "electron"
    transform: str = "scaled"
    transform_arguments: dict = dataclasses.field(default_factory=dict)
    turns: int = 1
    threshold: float = 0.5
    calibration: dict = dataclasses.field(default_factory=dict)
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
            ("transform", tuple(TRANSFORMS)),
            ("turns", TURNS if self.task == "mask" else TURNS[:1]),
        ):
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(
                    f"card of {self.name!r}: {field}={value!r}; allowed are {allowed}"
                )
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                f"card of {self.name!r}: threshold={self.threshold!r} is not in [0, 1]"
            )

    @property
    def uses(self) -> frozenset[str]:
        """Facts about the noise that the transform makes use of."""
        return TRANSFORMS[self.transform].uses

    @property
    def scale_free(self) -> bool:
        """Whether a frame times any number is the same to the network."""
        return TRANSFORMS[self.transform].scale_free

    def covers(self, header: Mapping | None) -> bool:
        """Tell whether a frame with this header is of the kind trained on.

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
        if any(header.get(key) != value for key, value in self.domain.items()):
            return False
        filters = {header.get(key) for key in ("FILTER", "FILTER1", "FILTER2")}
        return not self.filters or not filters.isdisjoint(self.filters)

    def threshold_for(self, target_fpr: float) -> float:
        """Return the threshold at which a share of clean pixels is flagged.

        Parameters
        ----------
        target_fpr : float
            The share, such as 1e-3; interpolated in its logarithm.

        Raises
        ------
        ValueError
            If the card has no calibration, or the share is out of its range.
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
        try:
            fields = json.loads(text)
            known = {field.name for field in dataclasses.fields(cls)}
            return cls(**{key: fields[key] for key in fields if key in known})
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a model card: {error}") from error
