"""What readers look for must be found: a section of the built site has the words in its title."""

from __future__ import annotations

import json
import sys
from pathlib import Path

INDEX = Path(__file__).parents[1] / "site" / "search.json"
WANTED = ("ItemKNN", "pandas", "api key", "notebook", "RecTools", "gallery", "cold start")


def main() -> None:
    """Ends with an error for words that no title has."""
    titles = [item["title"].lower() for item in json.loads(INDEX.read_text(encoding="utf-8"))["items"]]
    for words in WANTED:
        if not any(all(word in title for word in words.lower().split()) for title in titles):
            sys.exit(f"error: no section of the site is called after {words!r}")


if __name__ == "__main__":
    main()
