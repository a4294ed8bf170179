"""Notations of prompts: what is read from each, and that a tree survives being written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.prompts.parsing import DEPTH_MAX, detected, parse
from heliograph.prompts.tree import (
    Alternate,
    And,
    Break,
    Choice,
    Comment,
    Emphasis,
    Flag,
    Network,
    Node,
    Option,
    Prompt,
    Schedule,
    Syntax,
    Text,
    Weighted,
    printed,
)

A, B = (Text("a"),), (Text("b"),)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a cat", (Text("a cat"),)),
        ("(a)", (Emphasis(A),)),
        ("((a))", (Emphasis((Emphasis(A),)),)),
        ("[a]", (Emphasis(A, is_down=True),)),
        ("(a:1.2)", (Weighted(A, 1.2),)),
        ("(a: .5 )", (Weighted(A, 0.5),)),
        ("(a:-0.5)", (Weighted(A, -0.5),)),
        ("(a: b:2)", (Weighted((Text("a: b"),), 2.0),)),
        ("(size 16:9)", (Emphasis((Text("size 16:9"),)),)),
        ("(4k:1.3)", (Weighted((Text("4k"),), 1.3),)),
        ("(a (b:1.2):1.1)", (Weighted((Text("a "), Weighted(B, 1.2)), 1.1),)),
        ("(a:b)", (Emphasis((Text("a:b"),)),)),
        ("a BREAK b", (Text("a "), Break(), Text(" b"))),
        ("a OUTBREAK b", (Text("a OUTBREAK b"),)),
        ("a AND b", (Text("a "), And(), Text(" b"))),
        ("[a:b:0.5]", (Schedule(A, B, 0.5),)),
        ("[a:0.5]", (Schedule((), A, 0.5),)),
        ("[a::12]", (Schedule(A, (), 12.0),)),
        ("[a|b]", (Alternate((A, B)),)),
        ("[(a:1.2)|b]", (Alternate(((Weighted(A, 1.2),), B)),)),
        ("[note: a]", (Emphasis((Text("note: a"),), is_down=True),)),
        ("<lora:film_v2:0.8>", (Network("lora", "film_v2", ("0.8",)),)),
        ("<LyCO:x>", (Network("lyco", "x"),)),
        ("<comment:for me>", (Comment("for me"),)),
        ("<random:a,b>", (Choice((Option(A), Option(B))),)),
        ("<alternate:a|b>", (Alternate((A, B)),)),
        ("<fromto[0.4]:a,b>", (Schedule(A, B, 0.4),)),
        ("a<break>b", (Text("a"), Break(), Text("b"))),
        ("<3 <unknown:x>", (Text("<3 <unknown:x>"),)),
        ("{a|b}", (Choice((Option(A), Option(B))),)),
        ("{2$$a|b}", (Choice((Option(A), Option(B)), 2, 2),)),
        ("{1-2$$ and $$a|b}", (Choice((Option(A), Option(B)), 1, 2, " and "),)),
        ("{0.5::a|2::b}", (Choice((Option(A, 0.5), Option(B, 2.0))),)),
        ("{a {a|b}|b}", (Choice((Option((Text("a "), Choice((Option(A), Option(B))))), Option(B))),)),
        (r"\(a\) \[b\] \\", (Text(r"(a) [b] " + "\\"),)),
        (r"C:\drive", (Text(r"C:\drive"),)),
        (r"\BREAK", (Text("BREAK"),)),
        # What is not balanced or empty means nothing.
        ("(a", (Text("(a"),)),
        ("a)", (Text("a)"),)),
        ("() [] {}", (Text("() [] {}"),)),
        ("{a}", (Text("{a}"),)),
        ("{0.5::a", (Text("{0.5::a"),)),
        ("{0.5::a|b", (Text("{0.5::a|b"),)),
        ("{2$$a|b", (Text("{2$$a|b"),)),
        ("(a [b)", (Emphasis((Text("a [b"),)),)),
        ("([a)]", (Emphasis((Text("[a"),)), Text("]"))),
        (":) :( a", (Text(":) :( a"),)),
    ],
)
def test_a1111_and_its_kin(text: str, nodes: tuple[Node, ...]) -> None:
    assert parse(text, Syntax.A1111).nodes == nodes


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("(a:1.2) [b] BREAK <lora:x:1>", (Weighted(A, 1.2), Text(" [b] BREAK <lora:x:1>"))),
        (r"\(a\) (b)", (Text("(a) "), Emphasis(B))),
        ("{a|b}", (Choice((Option(A), Option(B))),)),
        ("embedding:foo", (Text("embedding:foo"),)),
    ],
)
def test_comfyui(text: str, nodes: tuple[Node, ...]) -> None:
    assert parse(text, Syntax.COMFYUI).nodes == nodes


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a++ b", (Weighted(A, 1.21), Text(" b"))),
        ("a- b", (Weighted(A, 0.9), Text(" b"))),
        ("(a)1.3", (Weighted(A, 1.3),)),
        ("(a b)++, b", (Weighted((Text("a b"),), 1.21), Text(", b"))),
        ("(a) b", (Text("(a) b"),)),
        ("well-known a", (Text("well-known a"),)),
        ('("a", "b").blend(.7, .3)', (Weighted(A, 0.7), And(), Weighted(B, 0.3))),
        ('("a", "b++").and()', (*A, And(), Weighted(B, 1.21))),
    ],
)
def test_compel(text: str, nodes: tuple[Node, ...]) -> None:
    assert parse(text, Syntax.COMPEL).nodes == nodes


@pytest.mark.parametrize(
    ("text", "nodes", "flags"),
    [
        ("a --ar 3:2", A, (Flag("ar", "3:2"),)),
        ("a --ar 3:2 --no b, c --s 250", A, (Flag("ar", "3:2"), Flag("no", "b, c"), Flag("s", "250"))),
        ("a —ar 16:9", A, (Flag("ar", "16:9"),)),
        ("a --seed=7 --tile", A, (Flag("seed", "7"), Flag("tile", ""))),
        ("a --v 6.1 --newest thing", A, (Flag("v", "6.1"), Flag("newest", "thing"))),
        ("a::2 b::1 --ar 1:1", (Weighted(A, 2.0), And(), Weighted(B, 1.0)), (Flag("ar", "1:1"),)),
        ("a:: b", (*A, And(), *B), ()),
        ("--ar 3:2", (), (Flag("ar", "3:2"),)),
        # Elsewhere than at the end, or with a value that cannot be, they are words.
        ("a --ar 3:2 b", (Text("a --ar 3:2 b"),), ()),
        ("a --ar wide", (Text("a --ar wide"),), ()),
        ("a --pretty", (Text("a --pretty"),), ()),
        ("a --pretty --ar 1:1", (Text("a --pretty"),), (Flag("ar", "1:1"),)),
        ("a well--ar 3:2", (Text("a well--ar 3:2"),), ()),
    ],
)
def test_midjourney(text: str, nodes: tuple[Node, ...], flags: tuple[Flag, ...]) -> None:
    assert parse(text, Syntax.MIDJOURNEY) == Prompt(nodes, flags)


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("a red boat on the sea", Syntax.SIMPLE),
        ("colored pencil (medium), a boat", Syntax.SIMPLE),
        ("a poster (ratio 16:9)", Syntax.SIMPLE),
        ("a smile :) and a frown :(", Syntax.SIMPLE),
        ("[Style: watercolor] a boat", Syntax.SIMPLE),
        ("C++ and A+ in a well-lit room", Syntax.SIMPLE),
        ("a boat {at night|by day} --ar 3:2", Syntax.SIMPLE),
        ("(a boat:1.2)", Syntax.A1111),
        ("((a boat))", Syntax.A1111),
        ("a boat BREAK the sea", Syntax.A1111),
        ("a boat <lora:film:1>", Syntax.A1111),
        ("a [red:blue:0.5] boat", Syntax.A1111),
        ("a [red|blue] boat", Syntax.A1111),
        ("a (red boat)1.3", Syntax.COMPEL),
        ("a (red boat)++ by day", Syntax.COMPEL),
        ('("a", "b").blend(1, 1)', Syntax.COMPEL),
        ("boat::2 sea::1 --ar 3:2", Syntax.MIDJOURNEY),
        ('{"scene": "a boat | a sea", "mood": ["calm", "(warm:1.2)"]}', Syntax.PLAIN),
    ],
)
def test_the_notation_is_found_out(text: str, syntax: Syntax) -> None:
    assert detected(text) is syntax


def test_plain_text_is_left_alone() -> None:
    text = "(a:1.2) {b|c} <lora:x:1> --ar 3:2"
    assert parse(text, Syntax.PLAIN) == Prompt((Text(text),))


SYNTAXES = [syntax for syntax in Syntax if syntax is not Syntax.AUTO]

SNIPPETS = [
    *"()[]{}<>|:\\$-+_—\"'., ",
    *("a", "b ", " c", "1", "1.2", ":0.5)", "BREAK", "AND", "::", "--", " --ar 3:2", " --no x", "2$$", "0.5::", "++"),
    *("<lora:x:1>", "<break>", "<comment:", "<random:a,b>", ").blend(", ".and()", '("', "\n", "é", "日本", "🚣", "\\("),
]

prompts = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(SNIPPETS), max_size=40).map("".join))


@given(text=prompts, syntax=st.sampled_from(SYNTAXES))
def test_a_tree_that_was_written_down_is_read_as_itself(text: str, syntax: Syntax) -> None:
    tree = parse(text, syntax)
    assert parse(printed(tree), Syntax.A1111) == tree


@given(text=prompts)
def test_what_is_found_out_is_what_it_is_parsed_as(text: str) -> None:
    assert parse(text) == parse(text, detected(text))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("opening", ["(", "[", "{", "{a|", "(a:", "<", "\\", '("', "--no ", "a::", "<comment:"])
def test_any_depth_and_length_is_read_in_linear_time_and_survives(syntax: Syntax, opening: str) -> None:
    text = opening * (2000 // len(opening)) + "a" + ")" * DEPTH_MAX * 2
    tree = parse(text, syntax)
    assert parse(printed(tree), Syntax.A1111) == tree
