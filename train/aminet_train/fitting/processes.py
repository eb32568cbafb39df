# SPDX-License-Identifier: Apache-2.0
"""The processes of a run: one, several on a machine, or several machines."""

import os

import lightning
import torch
from lightning.fabric.strategies.ddp import DDPStrategy

from aminet_train.fitting.config import TrainConfig

_PLACES = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Where Lightning, torchrun and Slurm tell a process which one it is."""


def is_first_process() -> bool:
    """Whether this process speaks for the run: it writes, prints and draws."""
    return all(os.environ.get(place, "0") == "0" for place in _PLACES)


def launch(config: TrainConfig) -> lightning.Fabric:
    """Start the other processes of a run; they run the same command and come to this line, too."""
    if config.processes.threads:
        torch.set_num_threads(config.processes.threads)
    several = DDPStrategy(
        process_group_backend="gloo",
        # a frozen backbone takes no part in the first epochs
        find_unused_parameters=config.schedule.frozen_epochs > 0,
    )
    fabric = lightning.Fabric(
        accelerator="cpu",
        devices=config.processes.devices,
        num_nodes=config.processes.nodes,
        strategy=several if config.processes.count > 1 else "auto",
        precision=config.precision.value,
    )
    fabric.launch()
    return fabric
