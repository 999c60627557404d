"""The conformance kit in pytest: ``--mlpframe-plugin`` adds a test for each check of a component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

OPTION = "--mlpframe-plugin"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("mlpframe").addoption(
        OPTION,
        dest="mlpframe_plugin",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="check a plugin: its file or folder, a component's name, or all; may be given several times",
    )


@pytest.hookimpl(tryfirst=True)  # so that the option -k can select among the added tests
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    requests: list[str] = config.getoption("mlpframe_plugin")
    if not requests:
        return
    from ..registry import UsageError
    from .kit import cases, find_components

    try:
        components = dict.fromkeys(
            component for request in requests for component in find_components(request)
        )
    except UsageError as error:
        raise pytest.UsageError(f"{OPTION}: {error}") from error
    items.extend(
        Item.from_parent(session, name=str(case), nodeid=f"mlpframe::{case}", case=case)
        for case in cases(components)
    )


class Item(pytest.Item):
    """A test: one check of one component."""

    def __init__(self, *, case: Any, **more: Any) -> None:
        super().__init__(**more)
        self.case = case

    def runtest(self) -> None:
        self.case()

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, AssertionError):
            return f"{self.case.check.fact}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        from ..registry import registries

        info = registries[self.case.kind].info(self.case.name)
        return info.file, info.line - 1, str(self.case)
