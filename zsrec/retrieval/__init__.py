"""Candidate generation without training; see `Retriever` and `top`."""

from zsrec.retrieval.base import Candidates, Mode, Profile, Retriever, profile, top
from zsrec.retrieval.because import Because, because
from zsrec.retrieval.cooccurrence import Cooccurrence, CooccurrenceConfig
from zsrec.retrieval.fused import Fused, FusedConfig
from zsrec.retrieval.item_knn import ItemKNN, ItemKNNConfig
from zsrec.retrieval.lexical import Lexical, LexicalConfig
from zsrec.retrieval.lists import Listed, Lists, read_lists
from zsrec.retrieval.onboarding import Questions, questions
from zsrec.retrieval.popularity import Popularity, popularity
from zsrec.retrieval.rerank import Filter, Reranked
from zsrec.retrieval.semantic import Semantic, SemanticConfig, item_texts, item_vectors

__all__ = [
    "Because",
    "Candidates",
    "Cooccurrence",
    "CooccurrenceConfig",
    "Filter",
    "Fused",
    "FusedConfig",
    "ItemKNN",
    "ItemKNNConfig",
    "Lexical",
    "LexicalConfig",
    "Listed",
    "Lists",
    "Mode",
    "Popularity",
    "Profile",
    "Questions",
    "Reranked",
    "Retriever",
    "Semantic",
    "SemanticConfig",
    "because",
    "item_texts",
    "item_vectors",
    "popularity",
    "profile",
    "questions",
    "read_lists",
    "top",
]
