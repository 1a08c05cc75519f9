"""Write a prediction for people and programs: page, pictures, heat map, JSON."""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from squeezect.preparation.scratch import scratch_beside
from squeezect.publishing.document import STATEMENT, as_document
from squeezect.publishing.pictures import VIEWS, captions, picture
from squeezect.publishing.slices import slices
from squeezect.scan import Scan
from squeezect.session import Prediction


def publish(prediction: Prediction, scan: Scan, out: Path) -> Path:
    """Write one folder per prediction, whole or not at all.

    Args:
        prediction: the answer.
        scan: what it is about.
        out: folder that receives a folder named by the scan (see `name_of`), replacing an
            older one of the same scan.

    Returns:
        The page, ``index.html``, beside ``prediction.json``, ``heatmap.nii.gz`` and the pictures.
    """
    target = out / name_of(scan)
    with whole(target) as scratch:
        pictures = {view: picture(scan, prediction.heatmap, view) for view in VIEWS}
        for view, data in pictures.items():
            (scratch / f"{view}.png").write_bytes(data)
        if prediction.heatmap is not None:
            prediction.heatmap.save(scratch / "heatmap.nii.gz")
        document = json.dumps(as_document(prediction), indent=1)
        (scratch / "prediction.json").write_text(document, "utf-8")
        page = render(prediction, scan, {str(view): data for view, data in pictures.items()})
        (scratch / "index.html").write_text(page, "utf-8")
    return target / "index.html"


def name_of(scan: Scan) -> str:
    """Pseudonym of a scan, and a hash of all its voxels and its grid.

    Two patients have two names, even where both scans claim one UID, as those of careless archives
    do; and a scan has the same name whenever it is read.
    """
    digest = hashlib.sha256(np.ascontiguousarray(scan.hu).data)
    grid = scan.grid
    numbers = np.round([*grid.spacing_mm, *grid.origin_mm, *np.ravel(grid.direction)], 3) + 0.0
    digest.update(f"{grid.shape} {numbers.tolist()}".encode())
    return f"{scan.identity or 'scan'}-{digest.hexdigest()[:8]}"


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of `target` in the end, or vanishes.

    Args:
        target: folder; an older one is replaced, its parents are made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_beside(target)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def render(prediction: Prediction, scan: Scan, pictures: dict[str, bytes]) -> str:
    """The page as one self-contained HTML text.

    Args:
        prediction: the answer.
        scan: what it is about.
        pictures: PNG by name of the view.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("squeezect.publishing"), autoescape=True, undefined=StrictUndefined
    )
    inlined = {
        view: "data:image/png;base64," + base64.b64encode(data).decode()
        for view, data in pictures.items()
    }
    return environment.get_template("prediction.html").render(
        p=prediction,
        document=as_document(prediction),
        grid=scan.grid,
        acquisition=scan.acquisition,
        low_hu=int(scan.hu.min()),
        high_hu=int(scan.hu.max()),
        pictures=inlined,
        captions=captions(prediction, scan),
        strip=[(part, _jpeg_url(part.jpeg)) for part in slices(scan, prediction.heatmap)],
        statement=STATEMENT,
    )


def _jpeg_url(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
