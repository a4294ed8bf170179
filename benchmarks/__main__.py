"""All benchmarks, one after the other: `python -m benchmarks [--quick] [--json OUT]`."""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A module of this package. `about_s` is its usual time, whole and quick, for the estimate of what is left.

    `quick` and `whole` are its arguments; `has_figures` tells whether it can write them to a file.
    """

    name: str
    about_s: tuple[float, float]
    has_figures: bool = True
    whole: tuple[str, ...] = ()
    quick: tuple[str, ...] = ("--quick",)


BENCHMARKS = (
    Benchmark(name="overhead", about_s=(35, 17)),
    Benchmark(name="preview", about_s=(20, 10)),
    Benchmark(name="memory", about_s=(18, 9)),
    Benchmark(name="finishing", about_s=(15, 4)),
    Benchmark(name="gates", about_s=(150, 30)),
    Benchmark(name="safety", about_s=(60, 15)),
    Benchmark(name="throughput", about_s=(45, 18)),
    Benchmark(name="batching", about_s=(45, 12)),
    Benchmark(name="worker_loss", about_s=(70, 20)),
    Benchmark(name="engine_faults", about_s=(360, 45)),
    Benchmark(name="flood", about_s=(70, 15)),
    Benchmark(name="delivery", about_s=(150, 25)),  # storing is a part of it
    Benchmark(name="killed_deliveries", about_s=(120, 25)),
    Benchmark(name="store", about_s=(6, 3), has_figures=False, whole=("5000",), quick=("500",)),
    Benchmark(name="recovery", about_s=(60, 20), has_figures=False, whole=("100000",), quick=("2000",)),
    Benchmark(name="watching", about_s=(60, 20)),
    Benchmark(name="quality_change", about_s=(60, 5)),
    Benchmark(name="decisions", about_s=(20, 20), has_figures=False, quick=()),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds each: shows that they work, not how fast")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write everything to this file")
    options = parser.parse_args()
    is_quick: bool = options.quick
    found: dict[str, object] = {"cores": os.cpu_count(), "python": sys.version.split()[0], "is_quick": is_quick}
    left_s = sum(each.about_s[is_quick] for each in BENCHMARKS)
    failed: list[str] = []
    for number, benchmark in enumerate(BENCHMARKS, start=1):
        print(f"\n[{number}/{len(BENCHMARKS)}] {benchmark.name}; about {left_s:.0f} s left", flush=True)
        result = _run(benchmark, is_quick=is_quick)
        if result is None:
            failed.append(benchmark.name)
        found[benchmark.name] = result
        left_s -= benchmark.about_s[is_quick]
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if failed:
        sys.exit(f"did not finish: {', '.join(failed)}")


def _run(benchmark: Benchmark, *, is_quick: bool) -> object:
    """What it found, in a process of its own so that none weighs on another; None when it failed."""
    command = [
        sys.executable,
        "-m",
        f"benchmarks.{benchmark.name}",
        *(benchmark.quick if is_quick else benchmark.whole),
    ]
    started_s = time.monotonic()
    if not benchmark.has_figures:
        lines: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line.rstrip())
        return lines if process.returncode == 0 else None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        code = subprocess.call([*command, "--json", str(path)])
        if code != 0:
            return None
        return {"seconds": round(time.monotonic() - started_s, 1), **json.loads(path.read_text())}


if __name__ == "__main__":
    main()
