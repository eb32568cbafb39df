# SPDX-License-Identifier: Apache-2.0
"""All that a bundle is made of, gathered: what was asked for, made and measured."""

from dataclasses import dataclass

from aminet_export.networks import Networks
from aminet_export.plan import ExportPlan, Verdict
from aminet_export.source import Source
from aminet_train.checkpoint import CheckpointInfo
from aminet_train.thresholds import ChosenRule


@dataclass(frozen=True, slots=True)
class BundleContents:
    """All that a bundle is made of besides its network files.

    Attributes:
        plan: What was asked for.
        source: Checkpoint and patients.
        networks: Float, and what ships.
        verdict: What held-out patients and instruction sets said.
    """

    plan: ExportPlan
    source: Source
    networks: Networks
    verdict: Verdict

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint's."""
        return self.source.info

    @property
    def rule(self) -> ChosenRule:
        """Chosen on validation patients with the network that ships."""
        return self.networks.shipped.validation.rule
