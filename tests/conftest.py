"""What all tests share: where the real data is, and quiet third parties."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings

# Networks compiled in tests are not kept in the user's cache.
os.environ.setdefault("SQUEEZECT_CACHE", "off")

settings.register_profile("default", deadline=None, max_examples=50)
settings.load_profile("default")


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """Function from an archive's name to its unpacked folder; skips where the data is absent.

    Unpacks once into a cache that workers and later runs share.
    """
    root = os.environ.get("SQUEEZECT_DATA", "")
    cache = Path(__file__).parent.parent / ".cache" / "real"

    def folder(name):
        archive = Path(root) / f"{name}.zip"
        if not root or not archive.exists():
            pytest.skip(f"{name}.zip is not there; set SQUEEZECT_DATA to the folder that holds it")
        target = cache / name
        if not target.exists():
            scratch = tmp_path_factory.mktemp(name)
            zipfile.ZipFile(archive).extractall(scratch)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.rename(target)
            except OSError:  # another worker was faster, or another file system
                if not target.exists():
                    shutil.copytree(scratch, target)
        return target

    return folder
