"""Answers: a model's free text to mentions (`parser`), mentions to catalog items or to nothing (`grounder`)."""
