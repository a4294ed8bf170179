"""`python -m tests.chaos --jobs 1000 --seed 7 --store sqlite`: the last line is the figures as JSON."""

import argparse
import asyncio
import json
import shutil
import sys
from pathlib import Path

from tests.chaos.run import Chaos, Plan, passed


def main() -> None:
    """Run, tell what happens on stderr, print the figures; exit code 1 if anything that was promised did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--pictures", choices=("disk", "s3"), default="disk")
    parser.add_argument("--folder", type=Path, default=Path("build/chaos"), help="is wiped before")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    plan = Plan(jobs=options.jobs, seed=options.seed, store=options.store, pictures=options.pictures)
    chaos = Chaos(plan, options.folder.resolve(), lambda text: print(text, file=sys.stderr, flush=True))
    figures = asyncio.run(chaos.play())
    print(json.dumps(figures))
    sys.exit(0 if passed(figures) else 1)


if __name__ == "__main__":
    main()
