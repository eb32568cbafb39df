# SPDX-License-Identifier: Apache-2.0
"""Networks that are bad on purpose: mended where that can be, or else refused, with exit code 23.

A unit that always answers 0 gets huge weights in the layer behind it: float does not notice, and
INT8 has no steps left for the weights that matter.
"""

import pytest
import torch

from aminet_export.accuracy import largest_drop
from aminet_export.cli import main
from aminet_export.pipeline import export_bundle
from aminet_runtime.bundle import Bundle
from aminet_train.networks import Approach

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx and nncf

OUTLIER = 1000.0


def silence(layer: torch.nn.Module) -> None:
    """Let the first unit of a layer always answer 0."""
    layer.weight[0] = 0
    layer.bias[0] = 0


def spoil_second_convolution(network: torch.nn.Module) -> None:
    first, second = (m for m in network.blocks if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        silence(first)
        second.weight[:, 0] = OUTLIER


def spoil_dense_layers(network: torch.nn.Module) -> None:
    dense = [network.feature_layer, *(m for m in network.tail if isinstance(m, torch.nn.Linear))]
    with torch.no_grad():
        for before, layer in zip(dense, [*dense[1:], network.classifier], strict=True):
            silence(before)
            layer.weight[:, 0] = OUTLIER
        spoil_second_convolution(network)


def test_a_layer_with_outliers_is_put_back_to_float(workshop, tmp_path):
    made = workshop.make("outliers", Approach.SIMPLE_CNN, spoil=spoil_second_convolution)

    report = export_bundle(made.plan(tmp_path / "bundle"))

    assert report.verdict.restored_layers
    assert largest_drop(report.verdict.drops) <= 0.25
    Bundle.open(report.bundle)
    card = (report.bundle / "README.md").read_text()
    assert f"put back to float by accuracy control: `{report.verdict.restored_layers[0]}`" in card


def test_a_network_that_cannot_be_mended_is_refused(workshop, tmp_path, capsys):
    made = workshop.make("hopeless", Approach.SIMPLE_CNN, spoil=spoil_dense_layers)
    target = tmp_path / "bundle"

    code = main(
        [
            *("--checkpoint", str(made.checkpoint), "--data", str(made.data)),
            *("--int8", "--backend", "openvino", "-o", str(target)),
        ]
    )

    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 23
    assert (
        "error[E2301]: step 'compare': int8 loses more than 0.01 of F1 on 5 test patients" in said
    )
    assert "patient level F1" in said
    assert "most of the error is made by" in said
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_way_around_the_gate(capsys):
    with pytest.raises(SystemExit):
        main(["--model", "simple_cnn", "--int8", "--force"])
    assert "unrecognized arguments: --force" in capsys.readouterr().err


def test_help_says_what_exit_code_23_means(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "23" in capsys.readouterr().out
