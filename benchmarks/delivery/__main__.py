"""Delivery: time beside the bare codecs, bytes beside JPEG of quality 85, signatures that hold, storing beside obstore.

python -m benchmarks.delivery [--quick] [--json OUT]
"""

from collections.abc import Iterator

from benchmarks import storing
from benchmarks.delivery import signatures, sizes, stage
from benchmarks.report import Figure, run_alone


def measure(is_quick: bool) -> Iterator[Figure]:
    for part in (stage, sizes, signatures, storing):
        yield from part.measure(is_quick)


if __name__ == "__main__":
    run_alone("delivery", __doc__, measure)
