"""What a template costs: tokens by part, and how much of a prompt the server's cache can share.

    meter = Estimate()                     # or `Served(client)`: the served model's own tokenizer
    people = cast_of(data.sample(), template)
    budget = await budget_of(template, people.typical, meter)

Everything here is counted on real users' histories; nothing of them is written down.
"""

from zsrec.budget.findings import context_fits, label_tokens
from zsrec.budget.measure import Measured, measure_orders, measure_users
from zsrec.budget.meters import Estimate, Meter, Served
from zsrec.budget.parts import Budget, Part, budget_of
from zsrec.budget.people import Cast, Person, answers_for, cast_of, questions_of
from zsrec.budget.prefix import Prefix, Shared, orders_of, prefix_of

__all__ = [
    "Budget",
    "Cast",
    "Estimate",
    "Measured",
    "Meter",
    "Part",
    "Person",
    "Prefix",
    "Served",
    "Shared",
    "answers_for",
    "budget_of",
    "cast_of",
    "context_fits",
    "label_tokens",
    "measure_orders",
    "measure_users",
    "orders_of",
    "prefix_of",
    "questions_of",
]
