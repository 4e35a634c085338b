#!/usr/bin/env python3
"""Popularity, SR and AR on a YooChoose split, written apart from the product as its second opinion.

Usage: baselines.py TRAIN VALID [--k 20]

Definitions are session-rec's (Ludewig, Mauro, Latifi, Jannach: Empirical analysis of session-based
recommendation algorithms, 2020): AR counts each pair of a session in both directions; SR counts
ordered pairs at most 10 steps apart with weight 1/steps; both keep pairs of an item with itself and
the 20 best partners of each item, and predict from the last item alone. Ties go to the smaller item
id. Nothing pads a short list, so a miss is a miss. Standard library only; prints one JSON object.
"""

import argparse
import json
from collections import Counter, defaultdict

KEPT = 20
STEPS = 10


def read_sessions(path):
    """Each session's items in the order of (time, line), by session id."""
    rows = defaultdict(list)
    with open(path) as lines:
        next(lines)
        for number, line in enumerate(lines):
            session, item, time = line.rstrip("\n").split("\t")
            rows[session].append((float(time), number, item))
    return {session: [item for _, _, item in sorted(events)] for session, events in rows.items()}


def best(scores, k):
    return [item for item, _ in sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]]


def rules(sessions):
    """The association and the sequential rules: item -> its best partners, best first."""
    ar, sr = defaultdict(Counter), defaultdict(lambda: defaultdict(float))
    for items in sessions.values():
        for at, item in enumerate(items):
            for earlier in items[:at]:
                ar[item][earlier] += 1
                ar[earlier][item] += 1
            for steps in range(1, min(at, STEPS) + 1):
                sr[items[at - steps]][item] += 1 / steps
    return ({item: best(partners, KEPT) for item, partners in table.items()} for table in (ar, sr))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("valid")
    parser.add_argument("--k", type=int, default=20)
    options = parser.parse_args()
    train, valid = read_sessions(options.train), read_sessions(options.valid)
    counts = Counter(item for items in train.values() for item in items)
    popular = best(counts, options.k)
    ar, sr = rules(train)
    hits, reciprocal, positions = Counter(), Counter(), 0
    for items in valid.values():
        for last, target in zip(items, items[1:]):
            if target not in counts:
                continue
            positions += 1
            lists = {"popularity": popular, "ar": ar.get(last, []), "sr": sr.get(last, [])}
            for name, ranked in lists.items():
                ranked = ranked[: options.k]
                if target in ranked:
                    hits[name] += 1
                    reciprocal[name] += 1 / (ranked.index(target) + 1)
    rows = [
        {"name": name, "hr": hits[name] / positions, "mrr": reciprocal[name] / positions}
        for name in ("popularity", "sr", "ar")
    ]
    print(json.dumps({"positions": positions, "k": options.k, "rows": rows}))


if __name__ == "__main__":
    main()
