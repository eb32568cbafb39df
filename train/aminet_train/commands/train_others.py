# SPDX-License-Identifier: Apache-2.0
"""`aminet-train` without epochs: the SPIRAL threshold, the ensemble, the mean of weights."""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from aminet_runtime.errors import UsageError
from aminet_train.commands.train_flags import flag_of, given_settings
from aminet_train.settings import dotted

OTHER_MODELS: Mapping[str, frozenset[str]] = {
    "spiral": frozenset(),
    "ensemble": frozenset(),
    "average": frozenset({"precision"}),
}
"""Models without epochs, and the settings of a training that they heed."""


def train_other(options: argparse.Namespace) -> Path:
    """Fit the SPIRAL threshold, put an ensemble together, or average weights.

    Returns:
        The checkpoint's folder, or the ensemble's.

    Raises:
        UsageError: What the model is made of is not given, or something that changes nothing is.
    """
    _refuse_what_changes_nothing(options)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    run = options.run or Path("runs") / f"{options.model}-{stamp}"
    if options.model == "ensemble":
        from aminet_train.ensemble import assemble

        if not options.members:
            raise UsageError("an ensemble has members", hint="add --members A B C")
        return assemble(options.members, run)
    if options.model == "average":
        from aminet_train.averaging import average_checkpoints
        from aminet_train.fitting.config import Precision

        if not options.data:
            raise UsageError("no patients choose the rule of the mean", hint="add --data PREPARED")
        precision = Precision(given_settings(options).get("precision", Precision.FLOAT32))
        return average_checkpoints(options.members or [], options.data, run, precision=precision)
    from aminet_train.judging.spiral import train_spiral

    if not options.data:
        raise UsageError("there are no patients to learn from", hint="add --data PREPARED")
    return train_spiral(options.data, run)


def _refuse_what_changes_nothing(options: argparse.Namespace) -> None:
    heeded = OTHER_MODELS[options.model]
    idle = [flag_of(name) for name in dotted(given_settings(options)) if name not in heeded]
    if options.config is not None:
        idle.append("--config")
    if idle:
        raise UsageError(
            f"{', '.join(idle)}: --model {options.model} has no use for it", hint="leave it out"
        )
