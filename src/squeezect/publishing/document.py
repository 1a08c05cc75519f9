"""A prediction as plain JSON."""

from squeezect import __version__
from squeezect.session import Prediction

STATEMENT = "Research software; not a medical device; not for clinical use."


def as_document(prediction: Prediction) -> dict[str, object]:
    """The answer, where it comes from and how far to trust it; no identity but the pseudonym."""
    heatmap = prediction.heatmap
    return {
        "schema": 1,
        "statement": STATEMENT,
        "scan": prediction.scan_identity,
        "probability": prediction.probability,
        "fold_probabilities": list(prediction.fold_probabilities),
        "spread": prediction.spread,
        "threshold": prediction.threshold,
        "positive": prediction.positive,
        "peak_mm": list(heatmap.peak_mm) if heatmap else None,
        "peak_index": list(heatmap.peak_index) if heatmap else None,
        "findings": [finding.as_dict() for finding in prediction.findings],
        "lungs": prediction.lungs.as_dict() if prediction.lungs else None,
        "model": prediction.model,
        "run": prediction.run,
        "engine": prediction.engine,
        "preparation": prediction.preparation.model_dump(mode="json"),
        "seconds": {step: round(value, 4) for step, value in prediction.seconds.items()},
        "squeezect": __version__,
    }
