"""Redaction: takes personal data out of what users wrote, before it stands in any prompt.

It touches the user's own words only: `about`, critiques, and titles of a history that the catalog lacks. Titles
of the catalog are the operator's. What is redacted is what the model sees; matching a history with the catalog
happens on this machine, with the text as it came.
"""

from zsrec.redact.kinds import Redact, redactor
from zsrec.redact.plain import Redaction, Redactor

__all__ = ["Redact", "Redaction", "Redactor", "redactor"]
