"""The conformance kit runs on every registered component, including third-party components."""

from __future__ import annotations

import pytest

from mlpframe import registries
from mlpframe.testing import Case, cases, checks

COMPONENTS = [(kind, name) for kind in registries for name in registries[kind].names()]


@pytest.mark.parametrize("case", cases(COMPONENTS), ids=str)
def test_every_component_passes_the_checks_of_its_kind(case: Case) -> None:
    case()


def test_every_kind_has_its_own_checks() -> None:
    for kind in registries:
        assert any(check.kinds == (kind,) for check in checks(kind)), kind


def test_every_check_states_a_fact() -> None:
    for check in checks():
        assert check.fact.endswith("."), check.name
        assert "\n" not in check.fact, check.name
        assert check.title.lower().replace(" ", "_") == check.name
