"""Candidates: the items that a ranking prompt chooses from, without a training step.

Every retriever scores the whole catalog for one user (`Retriever`), and `top` takes the best. Nothing is fitted:
`Interactions.extended` makes new contacts and items count at once.
"""

from zsrec.candidates.fused import Fused, FusedConfig
from zsrec.candidates.ids import Ids
from zsrec.candidates.interactions import Contact, Interactions
from zsrec.candidates.item_knn import ItemKNN, ItemKNNConfig
from zsrec.candidates.listed import Listed
from zsrec.candidates.popularity import Popularity, popularity
from zsrec.candidates.profile import Profile, profile
from zsrec.candidates.questions import Questions, questions
from zsrec.candidates.reading import Reading, read_interactions
from zsrec.candidates.retriever import Candidates, Mode, Retriever, top
from zsrec.candidates.semantic import Semantic, SemanticConfig, item_texts, item_vectors

__all__ = [
    "Candidates",
    "Contact",
    "Fused",
    "FusedConfig",
    "Ids",
    "Interactions",
    "ItemKNN",
    "ItemKNNConfig",
    "Listed",
    "Mode",
    "Popularity",
    "Profile",
    "Questions",
    "Reading",
    "Retriever",
    "Semantic",
    "SemanticConfig",
    "item_texts",
    "item_vectors",
    "popularity",
    "profile",
    "questions",
    "read_interactions",
    "top",
]
