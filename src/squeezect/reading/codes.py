"""Every way in which reading can refuse or warn: the table behind ``docs/reading.md``."""

from squeezect.errors import Code

NO_SUCH_PATH = Code(
    "no-such-path", "There is no file or folder at this path.", "check the spelling of the path"
)
NO_FILES = Code(
    "no-files", "The folder or archive holds no files.", "name the folder that holds the scan"
)
NOT_AN_IMAGE = Code(
    "not-an-image",
    "Nothing here is DICOM, MetaImage, NIfTI or NRRD.",
    "give a DICOM folder, a zip of one, or a .mhd, .mha, .nii, .nii.gz or .nrrd file",
)
UNREADABLE = Code(
    "unreadable-file",
    "The system does not let a file be opened.",
    "check its permissions and that the disk is there",
)
TOO_SLOW = Code(
    "too-slow",
    "Reading took longer than its time limit.",
    "copy the scan to a local disk, or raise seconds in Limits",
)
BROKEN_FILE = Code(
    "broken-file",
    "A file is truncated or damaged.",
    "copy the file again from its source, or export the series again",
)
TOO_LARGE = Code(
    "too-large",
    "A folder, archive, file or declared size is beyond what any CT needs.",
    "give the folder of one study; limits can be raised with Limits",
)
UNSAFE_ARCHIVE = Code(
    "unsafe-archive",
    "The archive is encrypted, damaged, or swells beyond reason when unpacked.",
    "unpack it with a tool you trust and give the folder",
)
UNSAFE_LINK = Code(
    "unsafe-link",
    "An image header points at a data file outside of its own folder, or at several.",
    "put header and data file side by side and name the file without a path",
)
NO_SERIES = Code(
    "no-usable-series",
    "No series here can be read as a CT volume.",
    "see squeezect inspect for the reason of each series",
)
SEVERAL_IMAGES = Code(
    "several-images",
    "Several image files lie here and nothing tells which one is meant.",
    "name the file itself, or one of them with --series as squeezect inspect does",
)
UNKNOWN_SERIES = Code(
    "no-such-series",
    "The series asked for is not here.",
    "take a name from squeezect inspect",
)
SERIES_CHOSEN = Code(
    "series-chosen",
    "Several series are usable; one was taken: original axial, then coverage, thinness, softness.",
    "name another with --series",
    "note",
)
NOT_CT = Code("not-ct", "The series is not a CT image series.", "give the CT series of the study")
SHARED_UID = Code(
    "shared-series-uid",
    "Slices of one series UID, or of none, name several patients, studies or frames of reference; "
    "each was taken as a series of its own.",
    "name the series that you want with --series, and export the others again",
    "warn",
)
SERIES_SKIPPED = Code(
    "series-skipped",
    "A series that comes first by the rule of choice could not be read; another one was taken.",
    "name the series that you want with --series",
    "warn",
)
UNREAD_FILES = Code(
    "unread-files",
    "DICOM files beside the series are damaged; slices at its ends may be missing.",
    "copy the folder again from its source",
    "warn",
)
LOCALIZER = Code(
    "localizer", "The series is a localizer (scout view), not a volume.", "give the axial series"
)
LOCALIZER_DROPPED = Code(
    "localizer-dropped",
    "Localizer images inside the series were left out.",
    "nothing to do",
    "note",
)
OTHER_DROPPED = Code(
    "other-objects-dropped",
    "Objects inside the series that are no CT slices were left out.",
    "nothing to do",
    "note",
)
DERIVED = Code(
    "derived-series",
    "The series was computed from another one.",
    "prefer the original series where it is at hand",
    "note",
)
NO_PIXELS = Code(
    "no-pixel-data", "Files hold headers but no image.", "export the series with its pixels"
)
NO_GEOMETRY = Code(
    "no-geometry",
    "Position, orientation or spacing is missing or impossible: the volume has no shape in space.",
    "export the original series; secondary captures cannot be measured",
)
UNCLEAR_HEADER = Code(
    "unclear-header",
    "The header of an image file contradicts itself, or can be taken in more than one way.",
    "convert the original scan again",
)
TOO_FEW = Code(
    "too-few-slices", "Fewer than three slices are no volume.", "export the whole series"
)
SCATTERED = Code(
    "scattered-positions",
    "Slices do not lie behind each other on a straight line.",
    "export the series again; its positions are wrong or it holds several fields of view",
)
NO_ORIENTATION = Code(
    "no-orientation",
    "The image's header gives no orientation or place; axes may be flipped against the patient.",
    "convert the original scan again, keeping its orientation",
    "warn",
)
OVERLAPPING = Code(
    "overlapping-slices",
    "Slices are thicker than their distance, so that neighbours overlap.",
    "nothing to do",
    "note",
)
SPARSE = Code(
    "sparse-slices",
    "Slices are thinner than their distance, so that tissue between them was not seen.",
    "prefer a gapless reconstruction; small nodules can be missed",
    "warn",
)
MIXED_SIZE = Code(
    "mixed-size",
    "Slices of one series differ in matrix size or pixel spacing.",
    "export the series again, without other images in it",
)
MIXED_ORIENTATION = Code(
    "mixed-orientation",
    "Slices of one series are not parallel.",
    "export the series again, without other images in it",
)
MIXED_STORAGE = Code(
    "mixed-storage",
    "Slices of one series are stored in different ways: some with a rescale and some without, or "
    "in 8 and in 16 bits.",
    "export the series again; values of some slices cannot be told",
)
ODD_SLICE = Code(
    "odd-slice",
    "Values of a slice are far from those of its neighbours: its rescale or its bytes are wrong.",
    "export the series again; this slice is damaged or no part of it",
)
GAP = Code("slice-gap", "Slices are missing.", "export the series again, with all its slices")
UNEVEN = Code(
    "uneven-spacing",
    "Slices are not evenly spaced; they were interpolated onto an even grid.",
    "prefer an evenly spaced reconstruction",
    "warn",
)
DUPLICATE = Code(
    "duplicate-slices",
    "Identical slices were stored twice; one of each was used.",
    "nothing to do",
    "note",
)
CONFLICT = Code(
    "conflicting-slices",
    "Different slices claim one position, or lie among each other: several acquisitions, phases "
    "or reconstructions in one series.",
    "export one phase or reconstruction as a series of its own",
)
TILT = Code(
    "gantry-tilt",
    "The gantry was tilted; slices were shifted back into place.",
    "nothing to do; positions are right, the field's edges are cut",
    "warn",
)
STEEP_TILT = Code(
    "steep-tilt",
    "Slices are sheared more than any gantry tilts.",
    "export the series again; its positions are wrong",
)
UNDECODABLE = Code(
    "undecodable",
    "The pixels are compressed in a way that no installed decoder reads.",
    "export the series uncompressed or in another transfer syntax",
)
LOSSY = Code(
    "lossy-compression",
    "The pixels were compressed with loss.",
    "prefer the original; fine structure may be gone or invented",
    "warn",
)
BAD_PIXELS = Code(
    "bad-pixels",
    "The pixels are not single-channel whole numbers of up to 16 bits, or not as many as declared.",
    "export the original series",
)
OVERFLOW = Code(
    "hu-overflow",
    "Rescaled values do not fit Hounsfield units of 16 bits.",
    "export the series again; its rescale slope or intercept is wrong",
)
NO_RESCALE = Code(
    "no-rescale",
    "No rescale slope and intercept; stored values were taken as Hounsfield units.",
    "check that air is near -1000",
    "warn",
)
NOT_HU = Code(
    "not-hounsfield",
    "Values are not Hounsfield units: no air near -1000, or no tissue near 0.",
    "give the original scan, not a windowed or normalised copy",
)
NO_AIR = Code(
    "no-air",
    "No value in this small field is as low as air or lung.",
    "check that this is a crop of a CT in Hounsfield units",
    "warn",
)
THICK = Code(
    "thick-slices",
    "Slices are too far apart for small nodules.",
    "prefer a reconstruction of 3 mm or less",
    "warn",
)
SHORT = Code(
    "short-coverage",
    "The scan covers too little along the body for a chest.",
    "give a scan of the whole chest",
    "warn",
)
CONTRAST = Code(
    "contrast-agent",
    "A contrast agent was given.",
    "nothing to do; vessels are brighter than without",
    "note",
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Code))


def table() -> str:
    """All codes as a Markdown table: code, severity, cause, remedy."""
    rows = [f"| `{c.name}` | {c.severity} | {c.cause} | {c.remedy} |" for c in ALL]
    head = ["| code | severity | cause | remedy |", "| --- | --- | --- | --- |"]
    return "\n".join(head + rows) + "\n"
