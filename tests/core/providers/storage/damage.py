"""What a full disk or a cut wire makes of files."""

import os
from pathlib import Path


def break_files(directory: Path, files: str, damage: str) -> None:
    found = [path for path in directory.glob(files) if path.is_file()]
    assert found
    for path in found:
        if damage == "removed":
            path.unlink()
        else:
            os.truncate(path, 0 if damage == "emptied" else path.stat().st_size // 2)
