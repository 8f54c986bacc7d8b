"""`python -m tests.simulation`: many schedules, or one again."""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter

from tests.simulation.schedule import simulate

#: So many schedules are part of `make test`.
SEEDS = 4_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates gateways, clients and a store, one schedule a seed.")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--seeds", type=int, default=10**9, help="how many")
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long at most")
    options = parser.parse_args()
    if options.seed is not None:
        print(report(simulate(options.seed), 1))
        return
    logging.disable()  # what the gateway has to say of failing stores
    tally: Counter[str] = Counter()
    started, count = time.monotonic(), 0
    while count < options.seeds and time.monotonic() - started < options.seconds:
        tally += simulate(options.first + count)
        count += 1
    print(report(tally, count))


def report(tally: Counter[str], schedules: int) -> str:
    """How often each rare thing has happened."""
    lines = [f"{count:9,}  {what}" for what, count in sorted(tally.items())]
    return "\n".join([f"{schedules:9,}  schedules", *lines])


if __name__ == "__main__":
    main()
