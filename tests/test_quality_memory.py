import json
from pathlib import Path

import numpy as np
import pytest
from training.textures import photo_like

from heliograph.domain.ids import ModelId
from heliograph.domain.pictures import Decision, RawImage, Verdict
from heliograph.postprocess import FinishedPicture, finish_picture
from heliograph.postprocess_tools import DAMAGE_FILE, Tools
from heliograph.quality.gates import GatePolicy
from heliograph.quality.history import LEARN_AT
from heliograph.quality.signals import signals
from heliograph.quality_memory import LearningPostProcessor, QualityMemory
from tests.builders import a_request

OWN = ModelId("our-model")
SEEN = [signals(photo_like(np.random.default_rng(seed))) for seed in range(10)]


async def taught(folder: Path, pictures: int, *, revision: str = "r1") -> QualityMemory:
    memory = QualityMemory(folder, revisions={OWN: revision})
    for number in range(pictures):
        found = SEEN[number % len(SEEN)]
        assert found is not None
        await memory.note(OWN, found, 0.5 + number / 1_000)
    return memory


async def test_what_was_learned_outlives_the_server(tmp_path: Path) -> None:
    memory = await taught(tmp_path, LEARN_AT[0] + 7)
    learned = memory.baseline(OWN)
    assert learned is not None
    await memory.close()
    again = QualityMemory(tmp_path, revisions={OWN: "r1"})
    assert again.baseline(OWN) == learned
    for _ in range(LEARN_AT[1] - LEARN_AT[0] - 7):
        await again.note(OWN, SEEN[0] or (), None)
    after = again.baseline(OWN)
    assert after is not None
    assert after.pictures == LEARN_AT[1], "it went on counting where it was"


async def test_after_a_crash_a_few_pictures_are_lost(tmp_path: Path) -> None:
    await taught(tmp_path, LEARN_AT[0] + 7)
    assert QualityMemory(tmp_path, revisions={OWN: "r1"}).baseline(OWN) is not None


async def test_another_revision_is_learned_anew(tmp_path: Path) -> None:
    await (await taught(tmp_path, LEARN_AT[0])).close()
    assert QualityMemory(tmp_path, revisions={OWN: "r2"}).baseline(OWN) is None


@pytest.mark.parametrize("content", ["", "[]", '{"revision": "r1"}', '{"revision": "r1", "signals": [[1]]'])
async def test_a_file_that_cannot_be_read_is_no_fault_worth_stopping_for(tmp_path: Path, content: str) -> None:
    (tmp_path / "our-model.json").write_text(content)
    memory = await taught(tmp_path, 3)
    assert memory.baseline(OWN) is None
    await memory.close()


async def test_a_name_that_is_a_path_stays_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "usual"
    memory = QualityMemory(folder, revisions={ModelId("../../up"): "r1"})
    await memory.note(ModelId("../../up"), SEEN[0] or (), None)
    await memory.close()
    assert [path.parent for path in tmp_path.rglob("*.json")] == [folder]


def test_the_built_in_models_are_known_from_the_first_picture_on(tmp_path: Path) -> None:
    usual = json.loads(DAMAGE_FILE.read_text())["usual"]
    revisions = {ModelId(name): str(facts["revision"]) for name, facts in usual.items()}
    memory = QualityMemory(tmp_path, revisions=revisions)
    assert {name for name in revisions if memory.baseline(name) is not None} >= {"helio-base", "helio-turbo"}
    other = QualityMemory(tmp_path, revisions={ModelId("helio-base"): "another"})
    assert other.baseline(ModelId("helio-base")) is None


class InThisProcess:
    async def finish(
        self, raw, request, *, reseeds, alignment_judge=None, baseline=None, safety=None, stamp=None, spent=None
    ) -> FinishedPicture | Verdict:
        return finish_picture(
            raw,
            request,
            reseeds=reseeds,
            policy=GatePolicy(),
            tools=Tools(None),
            alignment_judge=alignment_judge,
            baseline=baseline,
        )


async def test_pictures_are_judged_once_their_model_is_known_and_the_output_says_how(tmp_path: Path) -> None:
    memory = QualityMemory(tmp_path, revisions={OWN: "r1"})
    post = LearningPostProcessor(InThisProcess(), memory)

    async def finished(pixels: np.ndarray) -> FinishedPicture:
        height, width, _ = pixels.shape
        raw = RawImage(width_px=width, height_px=height, seed=1, rgb=pixels.tobytes())
        request = a_request(model=OWN, width_px=width, height_px=height)
        result = await post.finish(raw, request, reseeds=0)
        assert isinstance(result, FinishedPicture)
        return result

    photo = photo_like(np.random.default_rng(77))
    assert (await finished(photo)).technical is None
    for number in range(LEARN_AT[0] - 1):
        await memory.note(OWN, SEEN[number % len(SEEN)] or (), None)
    sound = await finished(photo)
    assert sound.verdict.decision is Decision.ACCEPT
    assert sound.technical is not None
    assert sound.technical.kind is None
    noise = np.random.default_rng(1).integers(0, 256, photo.shape).astype(np.uint8)
    broken = await finished(noise)
    assert broken.verdict.reasons == ("noisy",)
    assert broken.technical is not None
    assert broken.technical.score > broken.technical.limit
