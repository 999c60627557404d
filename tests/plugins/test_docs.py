"""Every component explains itself: its docstring is its help."""

from __future__ import annotations

import pytest

from mlpframe import registries
from mlpframe.registry import docstring_parts

COMPONENTS = [(kind, name) for kind in registries for name in registries[kind].names()]

every_component = pytest.mark.parametrize(("kind", "name"), COMPONENTS)


def test_every_plugin_was_loaded():
    # one that fails takes itself out of every test that runs over the registries
    assert registries.broken == []


@every_component
def test_summary_is_one_sentence(kind, name):
    text = registries[kind][name].__doc__
    summary = registries[kind].info(name).summary
    assert summary
    assert summary.endswith(".")
    assert text.splitlines()[1:2] in ([], [""])  # a blank line: the sentence does not run on


@every_component
def test_every_option_is_documented(kind, name):
    undocumented = [option.name for option in registries[kind].info(name).options if not option.doc]
    assert undocumented == []


@every_component
def test_only_options_that_exist_are_documented(kind, name):
    info = registries[kind].info(name)
    _, _, documented, _ = docstring_parts(info.cls.__doc__)
    assert documented.keys() <= {option.name for option in info.options}
