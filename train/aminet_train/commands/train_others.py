# SPDX-License-Identifier: Apache-2.0
"""`aminet-train` without epochs: the SPIRAL threshold, the ensemble, the mean of weights."""

import argparse
import time
from pathlib import Path

from aminet_runtime.errors import UsageError

OTHER_MODELS = ("spiral", "ensemble", "average")


def train_other(options: argparse.Namespace) -> Path:
    """Fit the SPIRAL threshold, put an ensemble together, or average weights.

    Returns:
        The checkpoint's folder, or the ensemble's.

    Raises:
        UsageError: What the model is made of is not given.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    run = options.run or Path("runs") / f"{options.model}-{stamp}"
    if options.model == "ensemble":
        from aminet_train.ensemble import assemble

        if not options.members:
            raise UsageError("an ensemble has members", hint="add --members A B C")
        return assemble(options.members, run)
    if not options.data:
        raise UsageError("there are no patients to learn from", hint="add --data PREPARED")
    if options.model == "average":
        from aminet_train.averaging import average_checkpoints

        return average_checkpoints(options.members or [], options.data, run)
    from aminet_train.judging.spiral import train_spiral

    return train_spiral(options.data, run)
