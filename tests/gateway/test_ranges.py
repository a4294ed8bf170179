import pytest

from heliograph.gateway.ranges import ByteRange, RangeNotSatisfiable, is_unchanged, requested_range

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=90-", 90, 99),
        ("bytes=90-500", 90, 99),
        ("bytes=-1", 99, 99),
        ("bytes=-500", 0, 99),
        (" bytes= 5-6 ", 5, 6),
    ],
)
def test_one_range_is_cut_to_what_there_is(header: str, start: int, end: int) -> None:
    part = requested_range(header, if_range=None, etag=ETAG, size=100)
    assert part == ByteRange(start=start, end=end)
    assert part.length == end - start + 1


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes=", "bytes=-", "bytes=9-5", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=" + "9" * 99],
)
def test_everything_else_gets_the_whole(header: str | None) -> None:
    assert requested_range(header, if_range=None, etag=ETAG, size=100) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-0", 0), ("bytes=-5", 0)]
)
def test_a_range_beyond_the_end_cannot_be_satisfied(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        requested_range(header, if_range=None, etag=ETAG, size=size)


def test_another_copy_gets_the_whole() -> None:
    assert requested_range("bytes=0-1", if_range='"old"', etag=ETAG, size=100) is None
    assert requested_range("bytes=0-1", if_range=ETAG, etag=ETAG, size=100) is not None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"x", {ETAG}', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
    ],
)
def test_a_good_copy_is_recognised(header: str | None, expected: bool) -> None:
    assert is_unchanged(header, etag=ETAG) is expected
