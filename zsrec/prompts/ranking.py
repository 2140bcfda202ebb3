"""How a template wants its candidates ranked: declared in front matter, so that no code changes with it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zsrec.types import Frozen

Ranker = Literal["generate", "label", "window", "pairwise", "choose"]
Calibration = Literal["none", "labels", "titles"]

DEFAULT_LLM_WEIGHT = 0.1
"""The model's share in the fused score; where it comes from stands in docs/ranking.md."""


class Ranking(Frozen):
    """The `ranking:` of a template's front matter.

    Attributes:
        permutations: The most orders of the candidates that are asked about; their log-probabilities are
            averaged, and asking stops before as soon as the first k stay the same. 1 asks once, in the
            candidates' own order. For the rankers that read labels.
        calibrate: "labels" divides out what the model thinks of each label when all titles and the history are
            "N/A"; "titles" what it thinks of these very candidates when only the history is "N/A" (this takes a
            further request an order). For the rankers that read labels.
        llm_weight: The w of score = (1 - w) · prior + w · llm where a retriever gives a prior; in [0, 1].
        window: Candidates in one window of the ranker "window"; "pairwise" has 2.
        stride: How far a window moves; "pairwise" has 1.
        within: How a window is ranked: by its "label", or by the answer's text ("generate").
    """

    permutations: int = Field(default=1, ge=1, le=64)
    calibrate: Calibration = "none"
    llm_weight: float = Field(default=DEFAULT_LLM_WEIGHT, ge=0.0, le=1.0)
    window: int = Field(default=4, ge=2, le=128)
    stride: int = Field(default=2, ge=1, le=127)
    within: Literal["label", "generate"] = "label"

    def reads_labels(self, ranker: Ranker) -> bool:
        """Whether the ranker reads the log-probabilities of labels."""
        return ranker == "label" or (ranker in ("window", "pairwise") and self.within == "label")

    def misfit(self, ranker: Ranker) -> tuple[str, str] | None:
        """The field that does not go with the ranker or another field, and why; None where all fit."""
        if not self.reads_labels(ranker):
            if self.permutations > 1:
                return "permutations", f"the ranker {ranker!r} has no log-probabilities to average over orders"
            if self.calibrate != "none":
                return "calibrate", f"the ranker {ranker!r} has no log-probabilities to calibrate"
        if ranker == "window" and self.stride >= self.window:
            return "stride", f"windows of {self.window} that move by {self.stride} do not overlap"
        return None
