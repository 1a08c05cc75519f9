"""Slices of multi-frame CT: enhanced and legacy-converted objects keep them in nested groups."""

from dataclasses import replace

from pydicom.dataset import Dataset

from squeezect.errors import ReadingError
from squeezect.reading import codes
from squeezect.reading.header import Header
from squeezect.reading.values import number, numbers, text, value_of, whole, words


def split_frames(header: Header, dataset: Dataset) -> list[Header]:
    """One header per frame.

    Args:
        header: of the file.
        dataset: the file, with its functional groups.

    Raises:
        ReadingError: `broken-file`, if groups and frames differ in number.
    """
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    groups = value_of(dataset, "PerFrameFunctionalGroupsSequence")
    frames = header.pixels.frames
    if not isinstance(groups, list) and not hasattr(groups, "__len__"):
        # An old multi-frame object has no place per frame: it is refused for its geometry.
        return [header]
    items = list(groups)  # type: ignore[call-overload]
    if len(items) != frames:
        what = f"{header.source.label} describes {len(items)} frames and declares {frames}"
        raise ReadingError(codes.BROKEN_FILE, what)
    return [_frame(header, index, item, shared) for index, item in enumerate(items)]


def _frame(header: Header, index: int, item: Dataset, shared: Dataset) -> Header:
    def group(name: str) -> Dataset:
        return _first(item, name) or _first(shared, name)

    position = numbers(group("PlanePositionSequence"), "ImagePositionPatient", 3)
    orientation = numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    measures = group("PixelMeasuresSequence")
    spacing = numbers(measures, "PixelSpacing", 2)
    rescale = group("PixelValueTransformationSequence")
    kind = words(group("CTImageFrameTypeSequence"), "FrameType")
    content = group("FrameContentSequence")
    kernel = " ".join(words(group("CTReconstructionSequence"), "ConvolutionKernel"))
    return replace(
        header,
        frame=index,
        acquisition=whole(content, "FrameAcquisitionNumber", header.acquisition),
        position_mm=position or header.position_mm,
        orientation=orientation or header.orientation,
        spacing_mm=(spacing if spacing and min(spacing) > 0 else None) or header.spacing_mm,
        thickness_mm=number(measures, "SliceThickness") or header.thickness_mm,
        slope=_or(number(rescale, "RescaleSlope"), header.slope),
        intercept=_or(number(rescale, "RescaleIntercept"), header.intercept),
        rescale_type=text(rescale, "RescaleType") or header.rescale_type,
        image_type=kind or header.image_type,
        kernel=kernel or header.kernel,
        voltage_kv=_or(number(group("CTXRayDetailsSequence"), "KVP"), header.voltage_kv),
    )


def _first(dataset: Dataset, keyword: str) -> Dataset:
    value = value_of(dataset, keyword)
    try:
        first = value[0]  # type: ignore[index]
    except (TypeError, IndexError):
        return Dataset()
    return first if isinstance(first, Dataset) else Dataset()


def _or(value: float | None, other: float | None) -> float | None:
    return other if value is None else value
