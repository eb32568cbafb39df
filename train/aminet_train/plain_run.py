# SPDX-License-Identifier: Apache-2.0
"""The folder of a run without epochs, such as the SPIRAL threshold's.

RUN/
  config.json      the approach, and the prepared cohorts
  checkpoint/      the result
"""

import json
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.errors import UsageError
from aminet_runtime.publish import write_whole
from aminet_train.checkpoint import ABOUT_FILE, CHECKPOINT_FOLDER
from aminet_train.networks import Approach

CONFIG_FILE = "config.json"


def free_checkpoint_folder(run: Path) -> Path:
    """Return where the checkpoint of a run goes.

    Raises:
        UsageError: There is one already.
    """
    target = run / CHECKPOINT_FOLDER
    if (target / ABOUT_FILE).exists():
        raise UsageError("this run has a checkpoint already", path=run, hint="choose another --run")
    return target


def write_plain_config(run: Path, approach: Approach, data: Sequence[Path]) -> None:
    """Write which cohorts a run is made of."""
    config = {"approach": approach.value, "data": [str(root.resolve()) for root in data]}
    write_whole(run / CONFIG_FILE, (json.dumps(config, indent=1) + "\n").encode())


def data_of_plain_run(run: Path) -> tuple[Path, ...]:
    """Return the prepared cohorts that a run names; none if it is no such run."""
    try:
        values = json.loads((run / CONFIG_FILE).read_bytes())
        return tuple(Path(root) for root in values["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
