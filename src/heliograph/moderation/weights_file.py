"""The filter's weights in a file: written by training and by `heliograph moderation train`, read at start.

A compressed numpy archive without pickled objects. Weights are kept as one byte each, on a scale of their head that is
finer near zero; `about` is a JSON object that says what they were made from.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np

from heliograph.domain.errors import Unavailable
from heliograph.moderation.classifier import HEADS, LEARNT, Classifier, Threshold
from heliograph.moderation.disguise import Vocabulary

FORMAT = 1
LOG_COUNT_STEP = 0.05
BYTES_MAX = 64 * 1024**2
"""Larger files are none of ours."""


def write_weights(path: Path, classifier: Classifier, *, about: Mapping[str, object]) -> None:
    """Write the file, whole or not at all."""
    words = sorted(classifier.vocabulary.log_counts)
    counts = np.array([classifier.vocabulary.log_counts[word] for word in words]) / LOG_COUNT_STEP
    thresholds = [(classifier.thresholds[category].flag, classifier.thresholds[category].block) for category in LEARNT]
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        np.savez_compressed(
            file,
            format=np.array(FORMAT),
            heads=np.array(HEADS),
            codes=classifier.codes,
            levels=classifier.levels,
            bias=classifier.bias,
            offset=classifier.offset,
            slope=classifier.slope,
            shift=classifier.shift,
            thresholds=np.array(thresholds, dtype=np.float32),
            words=np.frombuffer("\n".join(words).encode(), dtype=np.uint8),
            log_counts=np.minimum(255, np.rint(counts)).astype(np.uint8),
            about=np.frombuffer(json.dumps(dict(about), sort_keys=True).encode(), dtype=np.uint8),
        )
    draft.replace(path)


def read_weights(path: Path, *, masked: frozenset[str]) -> Classifier:
    """The classifier in a file; `masked` are the words that people put stars on. Raises `Unavailable`."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise Unavailable(f"{path} is too large to hold weights of the prompt filter.", code="weights_damaged")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if int(archive["format"]) != FORMAT or tuple(archive["heads"].tolist()) != HEADS:
                raise Unavailable(
                    f"{path} was written by another version; make it anew with `heliograph moderation train`.",
                    code="weights_damaged",
                )
            words = archive["words"].tobytes().decode().split("\n")
            log_counts = archive["log_counts"].astype(np.float64) * LOG_COUNT_STEP
            vocabulary = Vocabulary(dict(zip(words, log_counts.tolist(), strict=True)), masked)
            thresholds = {
                category: Threshold(flag=float(flag), block=float(block))
                for category, (flag, block) in zip(LEARNT, archive["thresholds"].tolist(), strict=True)
            }
            return Classifier(
                codes=archive["codes"],
                levels=archive["levels"],
                bias=archive["bias"],
                offset=archive["offset"],
                slope=archive["slope"],
                shift=archive["shift"],
                thresholds=thresholds,
                vocabulary=vocabulary,
            )
    except (OSError, EOFError, KeyError, ValueError, AssertionError, zipfile.BadZipFile) as error:
        raise Unavailable(
            f"{path} does not hold weights of the prompt filter: {error}", code="weights_damaged"
        ) from error


def about_weights(path: Path) -> Mapping[str, object]:
    """What the weights in a readable file were made from."""
    with np.load(path, allow_pickle=False) as archive:
        return cast("dict[str, object]", json.loads(archive["about"].tobytes()))
