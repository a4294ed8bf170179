from pathlib import Path

import numpy as np
import pytest

from heliograph.domain.errors import Unavailable
from heliograph.moderation.features import FEATURES
from heliograph.moderation.fit import Fitted, encoded
from heliograph.moderation.weights_file import about_weights, read_weights, write_weights
from tests.moderation.sample_filter import CLASSIFIER, TERMS


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    write_weights(path, CLASSIFIER, about={"rows": {"ours": 12}})
    read = read_weights(path, masked=frozenset())
    words = ["blick", "on", "the", "sea"]
    assert read.scores(words, TERMS) == CLASSIFIER.scores(words, TERMS)
    assert read.vocabulary.log_counts.keys() == CLASSIFIER.vocabulary.log_counts.keys()
    assert read.thresholds.keys() == CLASSIFIER.thresholds.keys()
    assert about_weights(path) == {"rows": {"ours": 12}}
    assert [each.name for each in tmp_path.iterdir()] == ["weights.npz"]


def test_codes_are_finest_near_zero() -> None:
    weights = np.zeros(FEATURES)
    weights[:4] = (2.0, -1.0, 0.001, -0.02)
    codes, levels = encoded([Fitted(weights=weights, bias=0.0)])
    back = levels[0][codes[:, 0]]
    assert back[:2] == pytest.approx((2.0, -1.0), rel=0.01)
    assert back[2:4] == pytest.approx((0.001, -0.02), abs=0.002)
    assert not back[4:].any()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"[categories]"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=r"weights\.npz"):
        read_weights(path, masked=frozenset())


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, format=np.array(1), heads=np.array(["other"]))
    with pytest.raises(Unavailable, match="another version"):
        read_weights(path, masked=frozenset())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"none\.npz"):
        read_weights(tmp_path / "none.npz", masked=frozenset())
