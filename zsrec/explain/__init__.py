"""Explanations: a sentence for each recommendation, what it cites, and whether that had anything to do with it."""

from zsrec.explain.citations import Citation, citations, first_sentence
from zsrec.explain.faithful import Check, Faithfulness, Score, faithfulness, ranker_score, retriever_score
from zsrec.explain.sentences import Explanation, Explanations, explain, explain_plan

__all__ = [
    "Check",
    "Citation",
    "Explanation",
    "Explanations",
    "Faithfulness",
    "Score",
    "citations",
    "explain",
    "explain_plan",
    "faithfulness",
    "first_sentence",
    "ranker_score",
    "retriever_score",
]
