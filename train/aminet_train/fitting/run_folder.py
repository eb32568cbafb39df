# SPDX-License-Identifier: Apache-2.0
"""The folder of one training run.

RUN/
  config.toml      the resolved settings, with the paths of this machine
  versions.json    tools, git commit and the fingerprint of the data
  metrics.csv      one line an epoch
  tensorboard/     the same for TensorBoard
  curves.png       the same as a picture, when the run has ended
  state/           from which a killed run goes on
  checkpoint/      the result; the run has ended when its checkpoint.json is there
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aminet_runtime.errors import InputMissing, UsageError
from aminet_runtime.publish import write_whole
from aminet_train.checkpoint import ABOUT_FILE, CHECKPOINT_FOLDER
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.resolve_config import resolve, written
from aminet_train.provenance import git_commit, tool_versions
from aminet_train.settings import read_toml


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the parts of a run are.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved settings."""
        return self.path / "config.toml"

    @property
    def state(self) -> Path:
        """Folder of the state from which a killed run goes on."""
        return self.path / "state"

    @property
    def checkpoint(self) -> Path:
        """Folder of the result."""
        return self.path / CHECKPOINT_FOLDER

    @property
    def has_ended(self) -> bool:
        """Whether the result is whole."""
        return (self.checkpoint / ABOUT_FILE).exists()

    def begin(self, config: TrainConfig, data: str) -> None:
        """Write what the run is made of; one that ended before its first state is replaced.

        Raises:
            UsageError: There is a run in this folder.
        """
        if self.state.exists() or self.checkpoint.exists():
            raise UsageError(
                "there is a run in this folder",
                path=self.path,
                hint="go on with --resume, or choose another --run",
            )
        about = {"versions": tool_versions(), "git_commit": git_commit(), "data": data}
        write_whole(self.path / "versions.json", (json.dumps(about, indent=1) + "\n").encode())
        write_whole(self.config, written(_with_whole_paths(config)).encode())

    def end(self) -> None:
        """Remove the state, which is several times as large as the result."""
        shutil.rmtree(self.state, ignore_errors=True)

    def read_config(self) -> TrainConfig:
        """Read the settings that the run began with.

        Raises:
            InputMissing: There is no run here.
        """
        if not self.config.exists():
            raise InputMissing("there is no run here", path=self.path, hint="check --resume")
        return resolve(read_toml(self.config))


def fingerprint(patients: Mapping[Split, Sequence[PreparedPatient]]) -> str:
    """Return a sha256 over the scans of each split and which of their slices are used."""
    digest = hashlib.sha256()
    for split, group in sorted(patients.items()):
        for patient in group:
            digest.update(f"{split} {patient.fingerprint}\n".encode())
            digest.update(patient.slices.tobytes() + patient.kept.tobytes())
    return digest.hexdigest()


def _with_whole_paths(config: TrainConfig) -> TrainConfig:
    """Name data and weights so that the run can go on from another folder."""
    start_from, weights = config.start_from, Path(config.weights)
    return replace(
        config,
        data=tuple(path.resolve() for path in config.data),
        start_from=None if start_from is None else start_from.resolve(),
        weights=str(weights.resolve()) if weights.is_file() else config.weights,
    )
