import pytest

from core.asking.policy import Place, Policy
from core.types import AskerId

HERE = Place(workspace="T1", channel="C1", roles=frozenset({"R1", "R2"}))


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (Policy(), True),
        (Policy(workspaces=frozenset({"T1"}), channels=frozenset({"C1"}), roles=frozenset({"R2"})), True),
        (Policy(workspaces=frozenset({"T2"})), False),
        (Policy(channels=frozenset({"C2"})), False),
        (Policy(roles=frozenset({"R3"})), False),
    ],
)
def test_an_empty_list_allows_all_and_every_list_has_to_allow(policy: Policy, allowed: bool) -> None:
    assert policy.may_ask(HERE) is allowed


def test_strangers_are_refused_unless_allowed() -> None:
    stranger = Place(workspace="T1", channel="C1", is_stranger=True)

    assert not Policy().may_ask(stranger)
    assert Policy(allow_strangers=True).may_ask(stranger)


def test_only_the_asker_and_admins_may_stop_or_repeat() -> None:
    ann, ben, eve = (AskerId(f"slack:T1:{name}") for name in ("ann", "ben", "eve"))
    policy = Policy(admins=frozenset({ben}))

    assert policy.may_steer(ann, asked_by=ann)
    assert policy.may_steer(ben, asked_by=ann)
    assert not policy.may_steer(eve, asked_by=ann)
