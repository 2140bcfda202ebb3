"""Evaluation that can be believed: full catalog, no leakage, neutral ties, intervals, paired tests."""

from zsrec.evals.by_time import cold_items, time_split
from zsrec.evals.cold import cold_users
from zsrec.evals.estimates import Comparison, Estimate
from zsrec.evals.intervals import bootstrap, holm, jackknife, paired_p_values
from zsrec.evals.many import ManySplit, many_metrics, target_metrics
from zsrec.evals.metrics import Place, hit_rate, mrr, ndcg, place
from zsrec.evals.order import hashed_subset
from zsrec.evals.report import MethodReport, Report, report
from zsrec.evals.run import Method, MethodRun, Run, run
from zsrec.evals.split import Split, held_out, leave_one_out
from zsrec.evals.targets import read_targets

__all__ = [
    "Comparison",
    "Estimate",
    "ManySplit",
    "Method",
    "MethodReport",
    "MethodRun",
    "Place",
    "Report",
    "Run",
    "Split",
    "bootstrap",
    "cold_items",
    "cold_users",
    "hashed_subset",
    "held_out",
    "hit_rate",
    "holm",
    "jackknife",
    "leave_one_out",
    "many_metrics",
    "mrr",
    "ndcg",
    "paired_p_values",
    "place",
    "read_targets",
    "report",
    "run",
    "target_metrics",
    "time_split",
]
