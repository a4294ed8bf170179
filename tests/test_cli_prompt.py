"""`heliograph prompt`: what a model would read, without a server."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from heliograph.cli import cli


def told(*arguments: str, data_dir: Path) -> dict[str, object]:
    result = CliRunner().invoke(cli, ["prompt", *arguments, "--json", "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_tells_verdict_request_tokens_and_adjustments(tmp_path: Path) -> None:
    prompt = "(a red boat:1.3) w/ {gulls|clouds} --ar 5:3"
    found = told(prompt, "--seed", "1", "--negative", "fog", data_dir=tmp_path)
    verdict = found["verdict"]
    assert isinstance(verdict, dict)
    assert (verdict["decision"], verdict["category"], verdict["span"], verdict["evidence"]) == ("allow", None, None, [])
    assert set(verdict["scores"]) == {"sexual", "violence", "self_harm", "hate", "illegal"}
    assert verdict["score"] == max(verdict["scores"].values()) < 0.1
    assert (found["model"], found["syntax"]) == ("helio-base", "a1111")
    request = found["request"]
    assert isinstance(request, dict)
    assert request["raw_prompt"] == prompt
    assert request["prompt"] in ("a red boat with gulls", "a red boat with clouds")
    assert (request["width"], request["height"], request["negative_prompt"]) == (160, 96, "fog")
    tokens = found["tokens"]
    assert isinstance(tokens, dict)
    assert tokens["limit"] == 32
    assert 7 <= tokens["prompt"] <= 12
    adjustments = found["adjustments"]
    assert isinstance(adjustments, list)
    assert {"1 weights", "1 choices", "1 words", "--ar"} <= {each["requested"] for each in adjustments}
    assert list(tmp_path.iterdir()) == []


def test_weights_stay_for_models_that_know_them_and_tokens_are_not_invented(tmp_path: Path) -> None:
    found = told("((boat)), sea", "--model", "sd15", data_dir=tmp_path)
    request, tokens = found["request"], found["tokens"]
    assert isinstance(request, dict)
    assert request["prompt"] == "(boat:1.21), sea"
    assert tokens == {"prompt": None, "limit": 77}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("a boat", "--model", "nothing"), "nothing"),
        (("a boat <lora:film:1>",), "film"),
        (("a boat", "--syntax", "latex"), "prompt_syntax"),
        (("boat " * 60,), "at most 32"),
    ],
)
def test_a_refusal_names_what_is_wrong(arguments: tuple[str, ...], named: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["prompt", *arguments, "--data-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert named in result.output
