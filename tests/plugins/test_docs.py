"""Every built-in plugin is loaded. The conformance kit checks the plugins' docstrings."""

from mlpframe import registries


def test_every_plugin_was_loaded() -> None:
    # Other tests run over the registries, so they would not notice a plugin that fails to load.
    assert registries.broken == []
