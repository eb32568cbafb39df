# SPDX-License-Identifier: Apache-2.0
"""The last files of a bundle: keys in its networks, metadata, receipts, card, check sums."""

import json
from pathlib import Path

from aminet_export.card import model_card
from aminet_export.contents import BundleContents
from aminet_export.metadata import metadata_of, network_keys
from aminet_export.onnx_graph import ONNX_FILE, add_onnx_metadata
from aminet_export.onnx_int8 import ONNX_INT8_FILE
from aminet_export.openvino_ir import annotate, read, save
from aminet_export.plan import Backend
from aminet_export.receipts import CALIBRATION, PARITY, calibration_receipt, parity_receipt
from aminet_export.shared_planes import share_planes_in_ir, share_planes_in_onnx
from aminet_runtime.bundle import METADATA, README, write_checksums
from aminet_runtime.publish import write_whole


def write_card(folder: Path, contents: BundleContents) -> None:
    """Write metadata into the networks and beside them, receipts, model card and check sums."""
    _annotate_networks(folder, contents)
    metadata = metadata_of(folder, contents)
    write_whole(folder / METADATA, metadata.to_bytes())
    _write_json(folder / CALIBRATION, calibration_receipt(contents))
    _write_json(folder / PARITY, parity_receipt(contents))
    card = model_card(metadata, contents)
    write_whole(folder / README, card.encode())
    if contents.plan.backend is Backend.OPENVINO:
        (folder / ONNX_FILE).unlink()
    write_checksums(folder)


def _annotate_networks(folder: Path, contents: BundleContents) -> None:
    """Write the same keys into the IR's rt_info and the ONNX files' metadata_props."""
    sections = network_keys(contents)
    model = read(folder)
    if contents.source.shares_planes:
        share_planes_in_ir(model, contents.source.plane_of_view)
    for section, values in sections.items():
        annotate(model, values, section=section)
    save(model, folder, contents.plan.precision)
    flat = {f"{name} {key}": v for name, values in sections.items() for key, v in values.items()}
    for name in (ONNX_FILE, ONNX_INT8_FILE):
        if (folder / name).exists():
            if contents.source.shares_planes:
                share_planes_in_onnx(folder / name, contents.source.plane_of_view)
            add_onnx_metadata(folder / name, flat)


def _write_json(path: Path, values: object) -> None:
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())
