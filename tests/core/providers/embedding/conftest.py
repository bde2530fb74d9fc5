import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of another shape than the packaged one; made in a child, so that torch stays out of here."""
    directory = tmp_path_factory.mktemp("tiny")
    maker = Path(__file__).with_name("tiny_model.py")
    subprocess.run([sys.executable, str(maker), str(directory)], check=True, capture_output=True)
    return str(directory / "model")
