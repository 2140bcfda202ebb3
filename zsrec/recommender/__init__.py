"""The front door: `Recommender` and `AsyncRecommender`, sessions, explanations and what they cite."""

from zsrec.recommender.citations import Citation, citations, first_sentence
from zsrec.recommender.explanations import Explanation, Explanations, explain
from zsrec.recommender.faithfulness import Check, Faithfulness, Score, faithfulness, ranker_score, retriever_score
from zsrec.recommender.recommender import AsyncRecommender, Recommender

__all__ = [
    "AsyncRecommender",
    "Check",
    "Citation",
    "Explanation",
    "Explanations",
    "Faithfulness",
    "Recommender",
    "Score",
    "citations",
    "explain",
    "faithfulness",
    "first_sentence",
    "ranker_score",
    "retriever_score",
]
