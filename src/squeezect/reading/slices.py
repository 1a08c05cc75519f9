"""`read_slice`: one DICOM image as Hounsfield units, to look at or to compare encodings."""

from pathlib import Path

import numpy as np

from squeezect.errors import ReadingError
from squeezect.reading import codes
from squeezect.reading.header import read_headers
from squeezect.reading.hounsfield import Hu
from squeezect.reading.pixels import check_pixels, decode_into
from squeezect.reading.quiet import quiet
from squeezect.reading.series import is_ct
from squeezect.reading.sources import LIMITS, Deadline, Limits, open_sources


def read_slice(path: str | Path, *, frame: int = 0, limits: Limits = LIMITS) -> Hu:
    """Read one slice of a CT as Hounsfield units; no geometry, no series, no plausibility.

    Args:
        path: DICOM file.
        frame: of a multi-frame file, from 0.
        limits: what to take on.

    Returns:
        Hounsfield units, int16, shape (rows, columns), as stored in the file.

    Raises:
        ReadingError: as `squeezect.reading.read_scan` does.

    Example:
        >>> read_slice("IM_0001.dcm").shape                # doctest: +SKIP
        (512, 512)
    """
    with open_sources(Path(path), limits) as sources, quiet():
        headers = read_headers(sources[0], limits)
        if not headers:
            raise ReadingError(codes.NOT_AN_IMAGE, f"{sources[0].label} is no DICOM file")
        if not 0 <= frame < len(headers):
            what = f"{sources[0].label} has {len(headers)} frames, not frame {frame}"
            raise ReadingError(codes.BROKEN_FILE, what)
        header = headers[frame]
        if not is_ct(header):
            raise ReadingError(codes.NOT_CT, f"{header.name} is of modality {header.modality}")
        check_pixels(header, limits)
        hu = np.empty((1, header.pixels.rows, header.pixels.columns), np.int16)
        decode_into(hu, [header], Deadline(limits), threads=1)
    plane: Hu = hu[0]
    return plane
