"""What makes ledger lines a posting; every store asks here before it writes one."""

from collections.abc import Iterable, Mapping

from heliograph.domain.billing_records import LedgerLine


def postings(lines: Iterable[LedgerLine]) -> Mapping[str, tuple[LedgerLine, ...]]:
    """`lines` by posting id, in order. A posting that does not sum to zero or numbers two lines alike is our bug."""
    grouped: dict[str, tuple[LedgerLine, ...]] = {}
    for line in lines:
        grouped[line.posting_id] = (*grouped.get(line.posting_id, ()), line)
    for posting_id, posting in grouped.items():
        amount_micros = sum(line.amount_micros for line in posting)
        assert amount_micros == 0, f"posting {posting_id} sums to {amount_micros} micro-dollars instead of 0"
        assert len({line.line for line in posting}) == len(posting), f"posting {posting_id} repeats a line number"
    return grouped
