"""Keys of their own for tests that sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.authoring.key_folder import VARIABLE


@pytest.fixture(autouse=True)
def keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of keys, which begins empty."""
    folder = tmp_path_factory.mktemp("keys")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder
