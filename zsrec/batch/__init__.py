"""Recommendations for millions of users: Parquet in, Parquet out, each user exactly once, on one machine or many.

`run_batch` cuts the users into chunks and hands their numbers to an engine: this process (`engine="local"`) or
Ray Data (`engine="ray"`, `zsrec.batch.on_ray`, the only module that knows Ray). Whoever works on a chunk writes
each user down as soon as the answer is there, so a job may be killed at any moment and the same call goes on.
"""

from zsrec.batch.inputs import Input
from zsrec.batch.job import Summary, run_batch
from zsrec.batch.recipe import Recipe
from zsrec.batch.worker import Batch

__all__ = ["Batch", "Input", "Recipe", "Summary", "run_batch"]
