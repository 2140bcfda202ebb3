"""Draws the MovieLens sample that the package ships: `python benchmarks/make_sample.py FOLDER-OF-ml-latest-small`.

Movies: those that at least 20 users rated, with the tags that users gave them, most frequent first. Users: of
those with 20 to 150 ratings of such movies, the 200 whose ids have the smallest SHA-256, so that nobody chose
them. Ratings and times are as in the source.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections import Counter, defaultdict
from pathlib import Path

TARGET = Path(__file__).parent.parent / "zsrec" / "data" / "movielens_sample"
MIN_RATINGS, MIN_HISTORY, MAX_HISTORY, USERS = 20, 20, 150, 200
NOT_ABOUT_THE_FILM = "in netflix queue"


def main(source: Path) -> None:
    movies = _read(source / "movies.csv")
    ratings = _read(source / "ratings.csv")
    counts = Counter(row["movieId"] for row in ratings)
    kept_movies = [row for row in movies if counts[row["movieId"]] >= MIN_RATINGS]
    ids = {row["movieId"] for row in kept_movies}
    kept_ratings = [row for row in ratings if row["movieId"] in ids]
    lengths = Counter(row["userId"] for row in kept_ratings)
    eligible = [user for user, length in lengths.items() if MIN_HISTORY <= length <= MAX_HISTORY]
    users = set(sorted(eligible, key=lambda user: hashlib.sha256(user.encode()).hexdigest())[:USERS])
    tags: dict[str, Counter[str]] = defaultdict(Counter)
    for row in _read(source / "tags.csv"):
        tags[row["movieId"]][row["tag"].strip().lower().replace("|", "/")] += 1
    for row in kept_movies:
        found = tags[row["movieId"]]
        del found[NOT_ABOUT_THE_FILM]
        row["tags"] = "|".join(sorted(found, key=lambda tag: (-found[tag], tag)))
    _write(TARGET / "movies.csv", kept_movies)
    _write(TARGET / "ratings.csv", [row for row in kept_ratings if row["userId"] in users])


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{path}: {len(rows)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
