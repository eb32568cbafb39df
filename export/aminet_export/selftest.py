# SPDX-License-Identifier: Apache-2.0
"""The self-test of a bundle: made of a held-out patient, and taken once before it is published."""

from pathlib import Path

import numpy as np

from aminet_export.contents import BundleContents
from aminet_export.gate import CASE_SELFTEST
from aminet_export.judge import parity_patients, upscaled
from aminet_export.openvino_scorer import openvino_scorer
from aminet_runtime.bundle import SELFTEST
from aminet_runtime.errors import GateFailed
from aminet_runtime.patient import Channel
from aminet_runtime.selftest import (
    TOLERANCE,
    SelfTest,
    largest_difference,
    read_selftest,
    write_selftest,
)
from aminet_runtime.session import Session

SAMPLE_SHARES = (0.35, 0.65)
"""Heights of the self-test's slices: the skull base with the large arteries, and the convexity."""


def write_selftest_of(folder: Path, contents: BundleContents) -> int:
    """Write slices of a held-out patient and what the network that ships says about them.

    Returns:
        How many slices there are.
    """
    source = contents.source
    patient = parity_patients(source)[0]
    numbers = [int(share * patient.slice_count) for share in SAMPLE_SHARES]
    views_hu = upscaled(np.concatenate([source.slice_hu(patient, number) for number in numbers]))
    _planes, first_views = np.unique(source.plane_of_view, return_index=True)
    planes_hu = views_hu[:, first_views]  # what the first window of each channel shows
    has_shares = Channel.SPIRAL in contents.info.preprocessing.channels  # HU and regions are whole
    stored = planes_hu if has_shares else np.rint(planes_hu).astype(np.int16)
    shown = stored.astype(np.float32)[:, source.plane_of_view]
    scorer = openvino_scorer(contents.networks.shipped.model, (1, *shown.shape[1:]))
    answers = scorer(part[np.newaxis] for part in shown)
    write_selftest(folder / SELFTEST, SelfTest(stored, answers))
    return len(answers)


def seal(folder: Path) -> float:
    """Open the bundle as a host would, and let the runtime's own engine take the self-test.

    Returns:
        The largest difference in probability to what the export saw.

    Raises:
        GateFailed: The runtime does not give the answers that the export saw.
    """
    with Session.open(folder, threads=1) as session:
        selftest = read_selftest(session.bundle)
        largest = largest_difference(selftest, lambda hu: session.answer(hu).probabilities)
    if not largest <= TOLERANCE:
        raise GateFailed(
            f"the runtime's answers differ from the export's by {largest:.2g}",
            case=CASE_SELFTEST,
            hint="please report this with the checkpoint",
        )
    return largest
