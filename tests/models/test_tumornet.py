"""TumorNet: median projections, features, and the process on them."""

import torch

from squeezect.models import create_model
from squeezect.models.gaussian import fit_gaussian_process
from squeezect.models.tumornet import median_projections


def test_projections_are_medians_along_each_axis():
    volume = torch.rand(2, 1, 7, 8, 8)
    image = median_projections(volume, 8)
    assert image.shape == (2, 3, 1, 8, 8)
    assert torch.equal(image[:, 0, 0], volume[:, 0].median(1).values)
    narrow = torch.nn.functional.interpolate(volume.median(3).values, (8, 8), mode="area")
    assert torch.allclose(image[:, 1], narrow)


def test_logits_are_linear_in_the_features():
    model = create_model("tumornet", options={"width": 16}).eval()
    volume = torch.rand(3, 1, 20, 24, 16)
    with torch.inference_mode():
        features = model.describe(volume)
        assert features.shape == (3, 64)
        assert torch.equal(model.head(features), model(volume))


def test_a_process_learns_from_the_features_of_a_fresh_network():
    torch.manual_seed(0)
    model = create_model("tumornet", options={"width": 16, "size": 16}).eval()
    volume = torch.rand(24, 1, 16, 16, 16) * 0.5
    labels = torch.arange(24) % 2
    volume[labels == 1, :, 4:12, 4:12, 4:12] += 0.3
    with torch.inference_mode():
        features = model.describe(volume).numpy()
    process = fit_gaussian_process(features[:16], labels[:16].numpy())
    assert ((process.probabilities(features[16:]) > 0.5) == labels[16:].bool().numpy()).all()
