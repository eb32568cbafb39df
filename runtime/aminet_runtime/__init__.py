# SPDX-License-Identifier: Apache-2.0
"""Find the brain regions that hold a clot: a patient folder in, findings out, on one CPU core.

    from aminet_runtime import Session

    with Session.open() as session:
        result = session.run("scans/379")
    for region in result.affected:
        print(region.name, region.probability, region.slices)

The rooms, along the way of the data:

- `byte_source`, `nifti_layout`, `nifti`, `nifti_file`: a NIfTI file, read once to its verified end
- `orientation`, `volume`, `read_ahead`: stored axes to canonical LPS slices
- `patient`, `patient_name`: which file of a folder is what, and what the patient is called
- `regions`, `field_of_view`, `scan_check`, `scan`: atlas and clot, and whether it is a head in HU
- `bundle_files`, `bundle`, `metadata`, `input_contract`, `track_record`, `selftest`: the bundle
- `engines`: a compiled network behind one protocol
- `slice_window`, `session`, `supervisor`, `budget`, `memory_estimate`: slices to scores, in bounds
- `ensemble_bundle`, `ensemble_session`, `vote`, `sessions`: several bundles that decide by majority
- `decision`, `remarks`, `result`, `stopwatch`: scores to a result
- `finding_text`, `result_table`, `text_table`, `report`: a result for people
- `publish`, `portable_name`: files that are whole or absent, under names that every system takes
- `cli`, `cli_options`, `console`, `signals`: the command `aminet-run`
- `batch`, `jobs`, `worker_start`: several patients, one after the other or in processes
- `result_place`, `earlier`: where their results go
- `doctor`, `diagnosis`: whether a machine is fit for it
- `process`, `threads`, `cgroup`, `cpu`, `windows`: what this machine and this process have
- `errors`, `strict_json`, `version`: shared by all

Arrays are [Z, H, W] or, for one slice of several channels, [C, H, W]: canonical LPS, slice 0 the
lowest (docs/architecture.md). Physical sizes are (x, y, z) in mm. Scores are [Z, R].

The names below are the public ones; they are imported when they are first used, so that importing
the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aminet_runtime.version import VERSION

if TYPE_CHECKING:
    from aminet_runtime.budget import Budget
    from aminet_runtime.bundle import Bundle
    from aminet_runtime.decision import RegionFinding
    from aminet_runtime.engines.choice import EngineName
    from aminet_runtime.ensemble_session import EnsembleSession
    from aminet_runtime.errors import (
        AminetError,
        BudgetExceeded,
        GateFailed,
        InputDamaged,
        InputError,
        InputInconsistent,
        InputMissing,
        InputUnsuitable,
        InputUnsupported,
        InternalError,
        ModelError,
        ModelIncompatible,
        ModelInvalid,
        ModelUntrusted,
        OutputError,
        OutputExists,
        OutputNotWritable,
        UsageError,
    )
    from aminet_runtime.patient import Channel, PatientFolder
    from aminet_runtime.result import PatientResult
    from aminet_runtime.session import Session, SliceScore
    from aminet_runtime.sessions import open_session

__all__ = [
    "AminetError",
    "Budget",
    "BudgetExceeded",
    "Bundle",
    "Channel",
    "EngineName",
    "EnsembleSession",
    "GateFailed",
    "InputDamaged",
    "InputError",
    "InputInconsistent",
    "InputMissing",
    "InputUnsuitable",
    "InputUnsupported",
    "InternalError",
    "ModelError",
    "ModelIncompatible",
    "ModelInvalid",
    "ModelUntrusted",
    "OutputError",
    "OutputExists",
    "OutputNotWritable",
    "PatientFolder",
    "PatientResult",
    "RegionFinding",
    "Session",
    "SliceScore",
    "UsageError",
    "__version__",
    "open_session",
]

__version__ = VERSION

_HOMES = {
    "Budget": "budget",
    "Bundle": "bundle",
    "Channel": "patient",
    "EngineName": "engines.choice",
    "EnsembleSession": "ensemble_session",
    "PatientFolder": "patient",
    "PatientResult": "result",
    "RegionFinding": "decision",
    "Session": "session",
    "SliceScore": "session",
    "open_session": "sessions",
}
"""Module of each public name that is no error."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "errors")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
