# SPDX-License-Identifier: Apache-2.0
"""Builds that are worse on purpose: the gate has to stop each of them for its own reason.

Two are real processes that a `sitecustomize` on PYTHONPATH changes before they run: our command
only, not the yardsticks. The third is a copied bundle with one weight changed and all check sums
made anew, as a forger would.
"""

import json
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from aminet_benchmarks.gate.checks import Reason
from aminet_benchmarks.ways import RUN
from aminet_runtime.bundle import METADATA, MODEL_BIN, MODEL_XML, model_id, write_checksums
from aminet_runtime.errors import ModelInvalid
from aminet_runtime.publish import write_whole

SLEEP_SHARE = 0.3
"""Of the time of a slice: the smallest loss that the gate must see."""

WEIGHT_FACTOR = 0.75
_CHANNEL_AXES = 4  # [1, C, 1, 1]; places on the axes of a slice, which the resize knows, have one

_CUSTOMISE = """
import sys
if any(word.endswith("{command}") for word in sys.orig_argv):
    import time
    from aminet_runtime.engines.openvino import OpenVinoNetwork
    infer, kept = OpenVinoNetwork.infer, []
    def worse(self):
        started = time.thread_time()
        answer = infer(self)
        {fault}
        return answer
    OpenVinoNetwork.infer = worse
"""
_SLEEP = "time.sleep(max({least}, {share} * (time.thread_time() - started)))"
_HOARD = "kept.append(self.input_hu.copy())"


class Fault(StrEnum):
    """What is wrong with a build."""

    SLOW = "sleeps 30 % of each slice"
    HOARDING = "keeps all slices"
    WEIGHT = "a changed weight"


@dataclass(frozen=True, slots=True)
class BadBuild:
    """A build under a fault, while the context that made it lasts.

    Attributes:
        bundle: What to run with it.
        reason: What the gate must stop it for.
    """

    bundle: Path
    reason: Reason


@contextmanager
def bad_build(fault: Fault, bundle: Path, *, least_sleep_s: float = 0.0) -> Iterator[BadBuild]:
    """Make all `aminet-run` that are started from here bad, until the end of the context.

    Args:
        fault: What is wrong.
        bundle: A good bundle.
        least_sleep_s: After each slice, for the slow build; more than noise on any machine, where
            it is tested that the gate sees it at all.
    """
    with TemporaryDirectory(prefix="aminet-fault-") as scratch:
        folder = Path(scratch)
        if fault is Fault.WEIGHT:
            yield BadBuild(change_weight(bundle, folder / bundle.name), Reason.ANSWERS)
        elif fault is Fault.SLOW:
            with _customised(folder, _SLEEP.format(least=least_sleep_s, share=SLEEP_SHARE)):
                yield BadBuild(bundle, Reason.TIME)
        else:
            with _customised(folder, _HOARD):
                yield BadBuild(bundle, Reason.MEMORY)


def change_weight(source: Path, target: Path) -> Path:
    """Copy a bundle, change one of its weights, and make id and check sums anew."""
    shutil.copytree(source, target)
    xml, weights = ((target / name).read_bytes() for name in (MODEL_XML, MODEL_BIN))
    changed = bytearray(weights)
    place = _first_weight(xml, weights)
    (value,) = struct.unpack_from("<f", weights, place)
    struct.pack_into("<f", changed, place, WEIGHT_FACTOR * value)
    write_whole(target / MODEL_BIN, bytes(changed))
    metadata = json.loads((target / METADATA).read_text(encoding="utf-8"))
    metadata["id"] = model_id(xml, bytes(changed))
    write_whole(target / METADATA, json.dumps(metadata).encode())
    write_checksums(target)
    return target


def _first_weight(xml: bytes, weights: bytes) -> int:
    """Return where the first float constant of channels lies that is not 0: it is of the window."""
    network = ET.fromstring(xml)  # noqa: S314 - of a bundle whose check sums were verified
    for data in network.iterfind("layers/layer[@type='Const']/data"):
        place, axes = int(data.attrib["offset"]), data.get("shape", "").count(",") + 1
        is_of_channels = data.get("element_type") == "f32" and axes == _CHANNEL_AXES
        if is_of_channels and struct.unpack_from("<f", weights, place)[0]:
            return place
    raise ModelInvalid("the network has no float constant", hint="take another bundle")


@contextmanager
def _customised(folder: Path, fault: str) -> Iterator[None]:
    """Let each Python that starts from here read a file first, which changes ours only."""
    code = _CUSTOMISE.format(command=RUN, fault=fault)
    write_whole(folder / "sitecustomize.py", code.encode())
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
