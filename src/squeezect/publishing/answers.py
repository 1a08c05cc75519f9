"""Many scans in, a published answer or a stated reason for each out."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from squeezect.errors import SqueezeCTError
from squeezect.publishing.document import as_document
from squeezect.publishing.publish import publish
from squeezect.reading import read_scan
from squeezect.runtime import EngineName
from squeezect.scan import Scan
from squeezect.session import Prediction, Session


@dataclass(frozen=True)
class Answer:
    """What became of one scan.

    Args:
        source: as it was named.
        prediction: the answer, or None if refused.
        page: the page that shows it.
        error: why there is no answer.
    """

    source: Path
    prediction: Prediction | None = None
    page: Path | None = None
    error: SqueezeCTError | None = None

    def as_dict(self) -> dict[str, object]:
        """The answer as plain JSON; `source` is the path as the user gave it."""
        if self.prediction is None:
            return {"source": str(self.source), "error": self.error and dict(self.error.as_dict())}
        return {
            "source": str(self.source),
            "page": str(self.page),
            **as_document(self.prediction),
        }

    def __str__(self) -> str:
        if self.prediction is None:
            return f"{self.source}: refused: {self.error}"
        p = self.prediction
        call = "positive" if p.positive else "negative"
        lines = [
            f"{self.source}: probability {p.probability:.3f} (networks differ by "
            f"{p.spread:.3f}), {call} at threshold {p.threshold:.3f}; {p.engine}"
        ]
        if p.heatmap is not None:
            x, y, z = p.heatmap.peak_mm
            lines.append(f"  strongest evidence at ({x:.1f}, {y:.1f}, {z:.1f}) mm (LPS)")
        lines += [f"  {finding}" for finding in p.findings]
        lines.append(f"  page: {self.page}")
        return "\n".join(lines)


def answer_scans(
    run: Path,
    scans: Sequence[Path],
    out: Path,
    *,
    series: str | None = None,
    allow: Collection[str] = (),
    engine: EngineName = "auto",
    progress: Callable[[str, int, int, str], None] | None = None,
) -> list[Answer]:
    """Predict and publish each scan; a scan that is refused does not stop the others.

    Args:
        run: run or checkpoint folder.
        scans: files or folders, one scan each.
        out: folder that receives one folder per scan.
        series: series to read where a folder holds several.
        allow: codes of refusals to go on in spite of.
        engine: what computes.
        progress: told as ``(stage, done, total, note)``.

    Raises:
        CheckpointError: if the run cannot be opened.
    """
    answers = []
    # Networks are loaded while the first scan is read.
    with ThreadPoolExecutor(1) as beside:
        opening = beside.submit(Session.open, run, engine=engine)
        for done, source in enumerate(scans):
            if progress is not None:
                progress("predicting", done, len(scans), source.name)
            found = _read(source, series)
            answers.append(_answer(opening.result(), source, found, out, allow=allow))
        opening.result()
    if progress is not None:
        progress("predicting", len(scans), len(scans), "")
    return answers


def _read(source: Path, series: str | None) -> Scan | SqueezeCTError:
    try:
        return read_scan(source, series=series)
    except SqueezeCTError as error:
        return error


def _answer(
    session: Session,
    source: Path,
    found: Scan | SqueezeCTError,
    out: Path,
    *,
    allow: Collection[str],
) -> Answer:
    if isinstance(found, SqueezeCTError):
        return Answer(source, error=found)
    try:
        prediction = session.predict(found, allow=allow)
        return Answer(source, prediction, publish(prediction, found, out))
    except SqueezeCTError as error:
        return Answer(source, error=error)
