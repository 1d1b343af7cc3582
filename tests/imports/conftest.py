from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def english(settings: Any) -> Iterator[None]:
    settings.LANGUAGE_CODE = "en"
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def import_folders(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of this test's own; returns that of the files of runs."""
    folder = tmp_path_factory.mktemp("folders")
    settings.IMPORTS_DIR, settings.IMPORT_DROP_DIR = folder / "imports", folder / "drop"
    settings.FILE_UPLOAD_TEMP_DIR = settings.IMPORTS_DIR
    settings.IMPORTS_DIR.mkdir()
    settings.IMPORT_DROP_DIR.mkdir()
    return folder / "imports"


@pytest.fixture(autouse=True)
def even_a_few_are_suspicious(settings: Any) -> None:
    """So that snapshots of a handful of rows can show what is refused."""
    settings.IMPORT_SNAPSHOT_FEW = 0
