"""What the tests of whole processes share."""

from pathlib import Path

import platformdirs
import pytest

from bot.settings import APP_NAME


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of its own, but for the embedding model, which takes seconds to export."""
    for exported in platformdirs.user_cache_path(APP_NAME).glob("*-v1"):
        (tmp_path / exported.name).symlink_to(exported)
    return tmp_path
