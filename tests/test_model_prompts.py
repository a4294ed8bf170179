from benchmarks.model_prompts import HeldOutPrompt, held_out_prompts, seen_counterparts, unseen_prompts
from training.scenes import HELD_OUT


def is_unseen(prompt: HeldOutPrompt) -> bool:
    return any(all(prompt.wanted.get(name) == value for name, value in one.items()) for one in HELD_OUT)


def test_prompts_are_the_same_in_every_run_and_ask_for_seen_combinations() -> None:
    prompts = held_out_prompts(100)
    assert [prompt.text for prompt in prompts] == [prompt.text for prompt in held_out_prompts(100)]
    assert not any(is_unseen(prompt) for prompt in prompts)
    assert {"time", "style", "terrain"} <= set(prompts[0].wanted)


def test_a_prompt_is_one_of_its_own_variants_or_says_the_same_in_other_words() -> None:
    for prompt in held_out_prompts(40):
        for attribute, value in prompt.wanted.items():
            variants = prompt.variants(attribute)
            others = [text for name, texts in variants.items() if name != value for text in texts]
            assert prompt.text not in others
            assert prompt.words[attribute] in prompt.text
            assert all(len(texts) >= 1 for texts in variants.values())


def test_unseen_prompts_differ_from_their_seen_counterparts_in_one_attribute() -> None:
    unseen = unseen_prompts(60)
    for one, other in zip(unseen, seen_counterparts(unseen), strict=True):
        assert is_unseen(one)
        assert not is_unseen(other)
        assert len(set(one.wanted.items()) ^ set(other.wanted.items())) == 2
