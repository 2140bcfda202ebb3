"""Grounding: from a mention in a model's answer to a catalog item, or to nothing."""

from zsrec.ground.grounder import Context, Grounder

__all__ = ["Context", "Grounder"]
