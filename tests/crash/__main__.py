"""The long tests of crashes, which `make test` does not wait for: `python -m tests.crash points`, or `soak`."""

import argparse
import sys

from tests.crash.killing import every_point
from tests.crash.soak import soak


def main() -> int:
    """Run what was asked for; returns 1 when anything was wrong."""
    top = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    killing = commands.add_parser("points", help="every point and random moments, with SIGKILL")
    killing.add_argument("--at-once", type=int, default=8, metavar="N", help="worlds that are played at the same time")
    killing.add_argument("--moments", type=int, default=30, metavar="N", help="random moments of a batch")
    killing.add_argument("--only", default="", metavar="POINT", help="such points alone, as `cloud` or `slack:3:after`")
    soaking = commands.add_parser("soak", help="mixed commands, faults and kills")
    soaking.add_argument("--minutes", type=float, default=30.0)
    for command in (killing, soaking):
        command.add_argument("--seed", type=int, default=1)
    given = top.parse_args()
    if given.command == "points":
        return int(every_point(given.at_once, given.seed, given.moments, given.only) > 0)
    return int(soak(given.minutes, given.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
