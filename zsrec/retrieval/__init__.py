"""Candidates: the items that a ranking prompt chooses from, without a training step.

Every retriever scores the whole catalog for one user (`Retriever`), and `top` takes the best. Nothing is fitted:
`Interactions.extended` makes new contacts and items count at once.
"""

from zsrec.retrieval.base import Candidates, Mode, Profile, Retriever, profile, top
from zsrec.retrieval.fused import Fused, FusedConfig
from zsrec.retrieval.item_knn import ItemKNN, ItemKNNConfig
from zsrec.retrieval.lists import Listed
from zsrec.retrieval.onboarding import Questions, questions
from zsrec.retrieval.popularity import Popularity, popularity
from zsrec.retrieval.semantic import Semantic, SemanticConfig, item_texts, item_vectors

__all__ = [
    "Candidates",
    "Fused",
    "FusedConfig",
    "ItemKNN",
    "ItemKNNConfig",
    "Listed",
    "Mode",
    "Popularity",
    "Profile",
    "Questions",
    "Retriever",
    "Semantic",
    "SemanticConfig",
    "item_texts",
    "item_vectors",
    "popularity",
    "profile",
    "questions",
    "top",
]
