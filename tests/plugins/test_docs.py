"""Every built-in plugin is loaded; the conformance kit checks that each explains itself."""

from mlpframe import registries


def test_every_plugin_was_loaded() -> None:
    # a plugin that fails to load would be missing from every test that runs over the registries
    assert registries.broken == []
