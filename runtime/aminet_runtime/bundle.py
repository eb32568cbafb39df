# SPDX-License-Identifier: Apache-2.0
"""A bundle: a folder that holds a network and all that is needed to run and to judge it.

docs/bundle.md is the specification. All files are hashed before any is parsed, and what was hashed
is what runs: the network's bytes are read once and handed to the engine from memory.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from aminet_runtime.bundle_files import read_manifest, read_verified, verify, write_manifest
from aminet_runtime.errors import ModelInvalid, ModelUntrusted
from aminet_runtime.metadata import Metadata

MEMBERS_FOLDER = "members"
"""Where an ensemble holds its bundles; a bundle of one network has no folder in it."""

MODEL_XML = "model.xml"
MODEL_BIN = "model.bin"
MODEL_ONNX = "model.onnx"
METADATA = "metadata.json"
SELFTEST = "selftest.npz"
README = "README.md"
REQUIRED_FILES = (MODEL_XML, MODEL_BIN, METADATA, SELFTEST, README)

DEFAULT_BUNDLE = "mobilenetv2-int8"

CASE_NO_DEFAULT = 4
CASE_INCOMPLETE = 5
CASE_ENSEMBLE = 7
CASE_ID = 7


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files were verified; use `Bundle.open`.

    Attributes:
        path: The folder.
        metadata: What the bundle says about itself.
        model_xml: The network's graph, OpenVINO IR.
        model_bin: Its weights.
        hashes: sha256 (hex) of each file by its name.
    """

    path: Path
    metadata: Metadata
    model_xml: bytes = field(repr=False)
    model_bin: bytes = field(repr=False)
    hashes: Mapping[str, str] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read a bundle and verify all of its files.

        Raises:
            ModelInvalid: The folder is no bundle or an ensemble of some, or its metadata cannot be
                read.
            ModelUntrusted: A file is missing, was changed, or is no regular file in the folder.
            ModelIncompatible: The bundle was made for another version of the runtime.
        """
        folder = Path(path)
        _require_one_network(folder)
        hashes = read_manifest(folder)
        metadata_json, model_xml, model_bin = (
            read_verified(folder, name, hashes=hashes) for name in (METADATA, MODEL_XML, MODEL_BIN)
        )
        for name in sorted({SELFTEST, README, *hashes} - {METADATA, MODEL_XML, MODEL_BIN}):
            verify(folder, name, hashes=hashes)
        metadata = Metadata.from_json(metadata_json, path=folder / METADATA)
        _require_id(metadata, model_id(model_xml, model_bin), path=folder / METADATA)
        return cls(
            path=folder,
            metadata=metadata,
            model_xml=model_xml,
            model_bin=model_bin,
            hashes=hashes,
        )

    @property
    def name(self) -> str:
        """The bundle's own name, whatever its folder is called."""
        return self.metadata.name


def is_ensemble(folder: Path) -> bool:
    """Whether a folder is laid out as an ensemble; its content is not looked at."""
    return (folder / MEMBERS_FOLDER).is_dir()


def model_id(model_xml: bytes, model_bin: bytes) -> str:
    """Return the id of a network: sha256 (hex) over the bytes of graph and weights."""
    digest = hashlib.sha256(model_xml)
    digest.update(model_bin)
    return digest.hexdigest()


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS over all files of a folder that is to become a bundle.

    Raises:
        ModelInvalid: A file that a bundle must have is missing.
        ModelUntrusted: The folder holds something that a bundle may not hold.
        OutputNotWritable: SHA256SUMS cannot be written.
    """
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelInvalid(
            f"the bundle has no {', '.join(missing)}",
            case=CASE_INCOMPLETE,
            path=folder,
            hint="write it before the checksums",
        )
    write_manifest(folder)


def default_bundle_path() -> Path:
    """Return where the bundle is that comes with the package.

    Raises:
        ModelInvalid: This installation has none.
    """
    path = Path(__file__).parent / "bundles" / DEFAULT_BUNDLE
    if not path.is_dir():
        raise ModelInvalid(
            f"this installation holds no {DEFAULT_BUNDLE} bundle",
            case=CASE_NO_DEFAULT,
            hint="name one with --bundle",
        )
    return path


def _require_one_network(folder: Path) -> None:
    if is_ensemble(folder):
        raise ModelInvalid(
            "this is an ensemble, not a bundle of one network",
            case=CASE_ENSEMBLE,
            path=folder,
            hint=f"name one of its members, which lie in {MEMBERS_FOLDER}; aminet-run and "
            "EnsembleSession run all of them",
        )


def _require_id(metadata: Metadata, found: str, *, path: Path) -> None:
    if metadata.model_id != found:
        raise ModelUntrusted(
            f"the id is not that of {MODEL_XML} and {MODEL_BIN}",
            case=CASE_ID,
            path=path,
            hint="export the bundle again",
        )
