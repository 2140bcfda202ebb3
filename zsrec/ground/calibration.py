"""From features to a probability: a logistic model whose weights ship with the package.

The model is a logistic regression over the features of `features.NAMES`; how it is fitted, and how well its
probabilities hold, is in `fit` and in docs/grounding.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from operator import mul
from pathlib import Path
from typing import Any, Self

from zsrec.errors import DataError
from zsrec.ground.features import NAMES

_FILE = "calibration.json"
MEANING = (-9.5, 8.8, 8.1)
"""The semantic stage's bias, and its weights of cosine and margin, with all-MiniLM-L6-v2 (docs/grounding.md)."""


@dataclass(frozen=True)
class Calibration:
    """The weights of the model.

    Attributes:
        weights: One log-odds weight a feature, in the order of `features.NAMES`.
        threshold: The least probability of a match, in (0, 1). Below one half, a match that is more likely
            wrong than right may still be worth it: a missed item and a wrong one cost F1 the same.
        meaning: Bias and weights of the semantic stage's cosine and margin.
    """

    weights: tuple[float, ...]
    threshold: float = 0.45
    meaning: tuple[float, float, float] = MEANING

    def log_odds(self, features: Sequence[float]) -> float:
        """The log-odds that the pair is right, rivals aside.

        Args:
            features: The vector, in the order of `features.NAMES`.
        """
        return float(sum(map(mul, self.weights, features)))

    def by_meaning(self, cosine: float, margin: float) -> float:
        """The probability that the item nearest in meaning is right.

        Args:
            cosine: Of the mention and the item's name.
            margin: How much nearer the item is than the next one.
        """
        bias, of_cosine, of_margin = self.meaning
        return 1.0 / (1.0 + math.exp(-(bias + of_cosine * cosine + of_margin * min(margin, 1.0))))

    @classmethod
    def default(cls) -> Self:
        """The weights fitted on the development data (docs/grounding.md)."""
        return cls._read(json.loads(resources.files("zsrec.ground").joinpath(_FILE).read_text("utf-8")))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads weights from a JSON file that `save` wrote.

        Raises:
            DataError: The file is missing or lacks a weight.
        """
        try:
            return cls._read(json.loads(Path(path).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"no grounding calibration: {error!r}", path=path, hint="write one with `Calibration.save`"
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes the weights to a JSON file, by name."""
        raw = {
            "threshold": self.threshold,
            "meaning": self.meaning,
            "weights": dict(zip(NAMES, self.weights, strict=True)),
        }
        Path(path).write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def _read(cls, raw: Mapping[str, Any]) -> Self:
        bias, of_cosine, of_margin = map(float, raw.get("meaning", MEANING))
        weights = tuple(float(raw["weights"][name]) for name in NAMES)
        return cls(weights, float(raw["threshold"]), (bias, of_cosine, of_margin))
