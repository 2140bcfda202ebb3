"""Recommenders, sessions, explanations and their citations, taste summaries."""

from zsrec.recommender.citations import Citation, citations, first_sentence
from zsrec.recommender.explanations import Explanation, Explanations
from zsrec.recommender.faithfulness import Check, Faithfulness, Score, faithfulness, ranker_score, retriever_score
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.recommender.taste_summary import TasteSummary

__all__ = [
    "AsyncRecommender",
    "Check",
    "Citation",
    "Explanation",
    "Explanations",
    "Faithfulness",
    "Recommender",
    "Score",
    "TasteSummary",
    "citations",
    "faithfulness",
    "first_sentence",
    "ranker_score",
    "retriever_score",
]
