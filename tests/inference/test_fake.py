import pytest

from heliograph.inference.fake import FakeOptions, Fault, FaultKind


def test_options_come_as_json() -> None:
    text = '{"load_s": 1.5, "step_s": 0.05, "faults": ["crash@3#1", "exit@load", "blank@end"]}'
    assert FakeOptions.parse(text) == FakeOptions(
        load_s=1.5,
        step_s=0.05,
        faults=(
            Fault(kind=FaultKind.CRASH, when="3", attempt=1),
            Fault(kind=FaultKind.EXIT, when="load"),
            Fault(kind=FaultKind.BLANK, when="end"),
        ),
    )
    assert FakeOptions.parse("{}") == FakeOptions()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"sleep": 1}', "sleep"),
        ('{"faults": ["crash"]}', "crash"),
        ('{"faults": ["crash@noon"]}', "noon"),
        ('{"faults": ["sulk@1"]}', "sulk"),
        ("nonsense", "Expecting value"),
    ],
)
def test_a_mistake_in_the_options_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        FakeOptions.parse(text)
