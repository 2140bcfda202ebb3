"""Trained baselines from RecTools: EASE and SASRec behind the Retriever protocol."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.core.types import Frozen
from zsrec.data.interactions import Codes, Ids, Interactions
from zsrec.data.ordering import in_time
from zsrec.retrieval.base import Mode, Profile, Retriever, Scores

NAMES = ("ease", "sasrec")


class EaseConfig(Frozen):
    """The one hyper-parameter of EASE, and a bound on memory."""

    regularization: float = 500.0
    most_items: int = 30_000


class SasRecConfig(Frozen):
    """Hyper-parameters of SASRec; the defaults are RecTools' own.

    Three epochs suit millions of interactions and undertrain on ml-latest-small (docs/evaluation.md).
    """

    factors: int = 256
    blocks: int = 2
    heads: int = 4
    session: int = 100
    dropout: float = 0.2
    lr: float = 0.001
    batch: int = 128
    epochs: int = 3
    loss: Literal["softmax", "sampled_softmax", "gBCE", "BCE"] = "softmax"
    negatives: int = 1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Ease:
    """EASE: a linear model of items from items with a closed form, score(x) = Σ_j B[j, x] over the history."""

    items: Ids
    known: Codes
    weights: Scores
    notes: tuple[str, ...]
    name: ClassVar[str] = "ease"
    mode: ClassVar[Mode] = "trained"

    @classmethod
    def fit(cls, interactions: Interactions, config: EaseConfig | None = None) -> Ease:
        """Fit the model: seconds for 10,000 items, growing with their cube."""
        config = config or EaseConfig()
        if not config.regularization > 0:
            raise ConfigError(f"regularization is {config.regularization}", hint="a number above 0")
        count = int(np.count_nonzero(interactions.users_per_item))
        if count > config.most_items:
            raise ConfigError(
                f"EASE on {count:,} items needs about {3 * 4 * count**2 / 1e9:.0f} GB",
                hint="leave it out, or raise most_items",
            )
        dataset = rectools_dataset(interactions)
        from rectools.models import EASEModel

        model = EASEModel(regularization=config.regularization, recommend_use_gpu_ranking=False)
        model.fit(dataset)
        known = dataset.item_id_map.external_ids.astype(np.int32)
        return cls(interactions.items, known, model.weight, (f"RecTools EASE, λ = {config.regularization:g}",))

    def scores(self, of: Profile) -> Scores:
        """The model's score of each item it knows, -inf for others; shape (number of items,)."""
        rows = np.full(len(self.items), -1, dtype=np.int64)
        rows[self.known] = np.arange(len(self.known))
        rows = rows[of.codes]
        scores = np.full(len(self.items), -np.inf)
        scores[self.known] = of.weights[rows >= 0] @ self.weights[rows[rows >= 0]]
        return scores


@dataclass(frozen=True, eq=False)
class SasRec:
    """SASRec: a transformer that reads the history and predicts the next item.

    A user is scored by the network (`encode_sessions`), ten times as fast as by RecTools' `recommend`, with the
    same scores.
    """

    items: Ids
    model: Any
    vectors: Any
    tokens: NDArray[np.int64]
    notes: tuple[str, ...]
    name: ClassVar[str] = "sasrec"
    mode: ClassVar[Mode] = "trained"

    @classmethod
    def fit(cls, interactions: Interactions, config: SasRecConfig | None = None) -> SasRec:
        """Train the model: minutes on a CPU for 100,000 interactions and 100 epochs."""
        config = config or SasRecConfig()
        dataset = rectools_dataset(interactions)
        model = sasrec_model(config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lightning's advice on loggers and workers
            model.fit(dataset)
        return cls.of(model, interactions.items, (f"RecTools SASRec, {config}",))

    @classmethod
    def of(cls, model: Any, items: Ids, notes: tuple[str, ...] = ()) -> SasRec:  # noqa: ANN401
        """A RecTools model as a retriever, fitted on `rectools_dataset` of interactions with these items."""
        import torch

        model.torch_model.eval()
        with torch.no_grad():
            vectors = model.torch_model.item_model.get_all_embeddings()
        tokens = np.zeros(len(items), dtype=np.int64)
        known = model.data_preparator.get_known_item_ids().astype(np.int32)
        tokens[known] = model.data_preparator.get_known_items_sorted_internal_ids()
        return cls(items, model, vectors, tokens, notes)

    def scores(self, of: Profile) -> Scores:
        """The model's score of each item it knows, else -inf; shape (number of items,).

        Only events with a positive weight are read; without any, every score is -inf.
        """
        import torch

        scores = np.full(len(self.items), -np.inf)
        read = self.tokens[of.codes[of.weights > 0]]
        read = read[read > 0][-self.model.session_max_len :]
        if not len(read):
            return scores
        session = torch.zeros((1, self.model.session_max_len), dtype=torch.long)
        session[0, -len(read) :] = torch.from_numpy(read)
        with torch.no_grad():
            user = self.model.torch_model.encode_sessions({"x": session}, self.vectors)[0, -1]
            logits = (self.vectors @ user).numpy()
        known = self.tokens > 0
        scores[known] = logits[self.tokens[known]]
        return scores


def trained(
    name: str, *, ease: EaseConfig | None = None, sasrec: SasRecConfig | None = None
) -> Callable[[Interactions], Retriever]:
    """Return a method for `zsrec.evaluation.runner` by name; raise `ConfigError` where it is none of `NAMES`."""
    if name == "ease":
        return partial(Ease.fit, config=ease)
    if name == "sasrec":
        return partial(SasRec.fit, config=sasrec)
    raise ConfigError(f"unknown trained method {name!r}", hint=f"known: {', '.join(NAMES)}")


def sasrec_model(config: SasRecConfig) -> Any:  # noqa: ANN401  (RecTools has no types here)
    """RecTools' SASRec, not fitted yet; sets torch's seed."""
    try:
        import torch
        from rectools.models import SASRecModel
    except ImportError:
        raise MissingExtraError("training SASRec", "trained") from None
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.manual_seed(config.seed)
    return SASRecModel(
        n_factors=config.factors,
        n_blocks=config.blocks,
        n_heads=config.heads,
        session_max_len=config.session,
        dropout_rate=config.dropout,
        lr=config.lr,
        batch_size=config.batch,
        epochs=config.epochs,
        loss=config.loss,
        n_negatives=config.negatives,
        deterministic=True,
    )


def rectools_dataset(interactions: Interactions) -> Any:  # noqa: ANN401
    """RecTools' data set of interactions, users and items by code.

    Places in time order stand for times, so that ties are ordered by hash and not by item code.
    """
    if not len(interactions):
        raise ConfigError("there is nothing to train on", hint="a split with interactions")
    try:
        import pandas as pd
        from rectools.dataset import Dataset
    except ImportError:
        raise MissingExtraError("a trained baseline", "trained") from None
    contacts = in_time(interactions)
    times = pd.to_datetime(np.arange(len(contacts.user)), unit="s")
    table = {"user_id": contacts.user, "item_id": contacts.item, "weight": 1.0, "datetime": times}
    return Dataset.construct(pd.DataFrame(table))
