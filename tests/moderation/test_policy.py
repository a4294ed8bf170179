import pytest

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.prompt_verdict import Category, PolicyDecision
from heliograph.moderation.policy import APPEAL, ContentPolicy, Rule, parse_policy
from tests.moderation.sample_filter import BLOCK_ALL

FILE = """
appeal = "Write to safety@example.com."
exceptions = ["bloody mary"]

[categories.violence]
action = "flag"
flag = 0.4
block = 0.9
terms = ["red wedding"]

[tenants.school.categories.violence]
action = "allow"

[tenants.strict.categories.violence]
action = "block"
block = 0.6
"""


def test_an_empty_file_says_what_no_file_says() -> None:
    assert parse_policy("", origin="policy.toml") == ContentPolicy()
    assert ContentPolicy().appeal == APPEAL


def test_a_file_is_read_whole() -> None:
    policy = parse_policy(FILE, origin="policy.toml")
    assert policy.appeal == "Write to safety@example.com."
    assert policy.exceptions == ("bloody mary",)
    assert policy.terms == {Category.VIOLENCE: ("red wedding",)}
    assert policy.rule(Category.VIOLENCE, None) == Rule(action=PolicyDecision.FLAG, flag=0.4, block=0.9)
    assert policy.rule(Category.VIOLENCE, "school") == Rule(action=PolicyDecision.ALLOW, flag=0.4, block=0.9)
    assert policy.rule(Category.VIOLENCE, "strict") == Rule(action=PolicyDecision.BLOCK, flag=0.4, block=0.6)
    assert policy.rule(Category.HATE, "strict") == Rule()


@pytest.mark.parametrize(
    ("tenant", "score", "decision"),
    [
        (None, 0.39, "allow"),
        (None, 0.4, "flag"),
        (None, 0.95, "flag"),
        ("school", 0.99, "allow"),
        ("strict", 0.59, "flag"),
        ("strict", 0.6, "block"),
    ],
)
def test_a_score_leads_to_what_the_tenants_rule_says(tenant: str | None, score: float, decision: str) -> None:
    policy = parse_policy(FILE, origin="policy.toml")
    found, category = policy.decide({Category.VIOLENCE: score}, BLOCK_ALL, tenant_id=tenant)
    assert found == decision
    assert category == (None if decision == "allow" else Category.VIOLENCE)


def test_the_gravest_decision_wins_and_then_the_highest_score() -> None:
    policy = parse_policy(FILE, origin="policy.toml")
    scores = {Category.VIOLENCE: 0.99, Category.HATE: 0.81, Category.SEXUAL: 0.85, Category.ILLEGAL: 0.6}
    assert policy.decide(scores, BLOCK_ALL, tenant_id=None) == (PolicyDecision.BLOCK, Category.SEXUAL)


def test_sexual_content_with_minors_is_blocked_whatever_the_policy_says() -> None:
    rules = dict.fromkeys(Category, Rule(action=PolicyDecision.ALLOW))
    policy = ContentPolicy(rules=rules, tenants={"any": rules})
    scores = {Category.SEXUAL_MINORS: 1.0, Category.HATE: 1.0}
    assert policy.decide(scores, BLOCK_ALL, tenant_id="any") == (PolicyDecision.BLOCK, Category.SEXUAL_MINORS)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("appeal = ", "moderation.policy"),
        ("apeal = 'x'", "apeal"),
        ("appeal = ''", "appeal"),
        ("exceptions = 'x'", "exceptions"),
        ("exceptions = ['!']", "exceptions"),
        ("categories = 1", "categories"),
        ("[categories.gore]", "categories.gore"),
        ("[categories.sexual_minors]\naction = 'allow'", "categories.sexual_minors"),
        ("[categories.hate]\naction = 'warn'", "categories.hate.action"),
        ("[categories.hate]\nflag = 2", "categories.hate.flag"),
        ("[categories.hate]\nblock = true", "categories.hate.block"),
        ("[categories.hate]\nflag = 0.9\nblock = 0.5", "categories.hate.flag"),
        ("[categories.hate]\nterms = [1]", "categories.hate.terms"),
        ("[tenants.a]\ncategory = 1", "tenants.a.category"),
        ("[tenants.a.categories.sexual_minors]", "tenants.a.categories.sexual_minors"),
        ("[tenants.a.categories.hate]\nterms = ['x']", "tenants.a.categories.hate.terms"),
    ],
)
def test_what_is_wrong_is_named(text: str, param: str) -> None:
    with pytest.raises(InvalidRequest, match=r"policy\.toml") as caught:
        parse_policy(text, origin="policy.toml")
    assert caught.value.param == param
