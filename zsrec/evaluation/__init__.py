"""Evaluation that can be believed: full catalog, no leakage, neutral ties, intervals, paired tests."""

from zsrec.evaluation.metrics import Place, hit_rate, mrr, ndcg, place, target_metrics
from zsrec.evaluation.report import MethodReport, Report, report
from zsrec.evaluation.runner import MethodRun, Run, run
from zsrec.evaluation.splits import Split, cold_items, cold_users, held_out, leave_one_out, time_split
from zsrec.evaluation.statistics import Comparison, Estimate, bootstrap, holm, jackknife, paired_p_values

__all__ = [
    "Comparison",
    "Estimate",
    "MethodReport",
    "MethodRun",
    "Place",
    "Report",
    "Run",
    "Split",
    "bootstrap",
    "cold_items",
    "cold_users",
    "held_out",
    "hit_rate",
    "holm",
    "jackknife",
    "leave_one_out",
    "mrr",
    "ndcg",
    "paired_p_values",
    "place",
    "report",
    "run",
    "target_metrics",
    "time_split",
]
