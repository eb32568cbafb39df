# SPDX-License-Identifier: Apache-2.0
"""What stands in an ensemble beside its members: metadata, receipt, model card, check sums."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aminet_export.ensemble_votes import Voted
from aminet_export.metadata import DISCLAIMER, ON_PHANTOMS
from aminet_runtime.bundle import MEMBERS_FOLDER, METADATA, README, Bundle
from aminet_runtime.ensemble_bundle import (
    EnsembleMetadata,
    member_entry,
    write_ensemble_checksums,
)
from aminet_runtime.publish import write_whole
from aminet_train.provenance import tool_versions

VOTES = "votes.json"


def write_ensemble(
    folder: Path, names: Sequence[str], voted: Voted, *, name: str, max_drop: float
) -> None:
    """Write what makes members that are there an ensemble.

    Args:
        folder: Of the ensemble; the members lie below it.
        names: Their folders, in their order.
        voted: What test patients say about them.
        name: The ensemble's.
        max_drop: Loss of F1 that would have been allowed.
    """
    members = [folder / MEMBERS_FOLDER / member for member in names]
    metadata = EnsembleMetadata(
        name=name,
        members=tuple(member_entry(member) for member in members),
        versions=tool_versions(),
        intended_use=Bundle.open(members[0]).metadata.intended_use,
        disclaimer=DISCLAIMER,
    )
    receipt = {"max_drop": max_drop, **voted.to_json()}
    write_whole(folder / METADATA, metadata.to_bytes())
    write_whole(folder / VOTES, (json.dumps(receipt, indent=1) + "\n").encode())
    write_whole(folder / README, _card(metadata, members, voted).encode())
    write_ensemble_checksums(folder)


def votes_table(voted: Voted) -> str:
    """Return a Markdown table of F1 at both levels: each member, and their vote."""
    lines = [
        "| | slice F1 | 95 % interval | patient F1 | 95 % interval | exact |",
        "|---|---|---|---|---|---|",
        *(_row(name, figures) for name, figures in voted.members.items()),
        _row("**vote**", voted.shipped),
        _row("vote of the float networks", voted.reference),
    ]
    return "\n".join(lines)


def _card(metadata: EnsembleMetadata, members: Sequence[Path], voted: Voted) -> str:
    drops = "\n".join(f"- {level} level: {drop}" for level, drop in voted.drops.items())
    return f"""# {metadata.name}

{metadata.intended_use}

**{metadata.disclaimer}**

{len(members)} bundles decide by majority, each by its own thresholds and its own slices in a row. A
region is flagged if more than half of them flag it.

| member | approach | precision | input |
|---|---|---|---|
{_members(members)}

## Measured on {voted.patient_count} test patients

{votes_table(voted)}

All members were tested on the same patients, and none of them was trained on one. "Exact" is the
share of patients whose set of regions was found without a miss and without a false alarm. From the
vote of the float networks to that of what ships:

{drops}

Each member has a card of its own, with its parity, its instruction sets and its limits.

## Limits

{_of_phantoms(metadata)}- A region that is not flagged may hold a clot all the same.
- Every file that any member reads must be there, on one grid.
"""


def _of_phantoms(metadata: EnsembleMetadata) -> str:
    if ON_PHANTOMS not in metadata.intended_use:
        return ""
    return "- Phantoms are not patients. No figure above says anything about a real scan.\n"


def _members(members: Sequence[Path]) -> str:
    opened = [Bundle.open(member).metadata for member in members]
    return "\n".join(
        f"| `{member.name}` | {about.approach} | {about.precision} "
        f"| {', '.join(about.input.channels)} |"
        for member, about in zip(members, opened, strict=True)
    )


def _row(name: str, figures: Mapping[str, Any]) -> str:
    at_slices, at_patients = figures["slice"], figures["patient"]
    return f"| {name} | {_f1(at_slices)} | {_f1(at_patients)} | {at_patients['exact']:.2f} |"


def _f1(level: Mapping[str, Any]) -> str:
    low, high = level["f1_ci95"]
    return f"{level['f1']:.3f} | {low:.3f} to {high:.3f}"
