"""Candidate generation without training; see `Retriever` and `top`."""

from zsrec.retrieval.base import Candidates, Mode, Profile, Retriever, profile, top
from zsrec.retrieval.cooccurrence import Cooccurrence, CooccurrenceConfig
from zsrec.retrieval.fused import Fused, FusedConfig
from zsrec.retrieval.item_knn import ItemKNN, ItemKNNConfig
from zsrec.retrieval.lists import Listed
from zsrec.retrieval.onboarding import Questions, questions
from zsrec.retrieval.popularity import Popularity, popularity
from zsrec.retrieval.semantic import Semantic, SemanticConfig, item_texts, item_vectors

__all__ = [
    "Candidates",
    "Cooccurrence",
    "CooccurrenceConfig",
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
