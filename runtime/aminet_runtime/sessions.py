# SPDX-License-Identifier: Apache-2.0
"""One way to open whatever a folder holds: a bundle, or an ensemble of bundles."""

from pathlib import Path

from aminet_runtime.bundle import is_ensemble
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.ensemble_session import EnsembleSession
from aminet_runtime.session import Session

AnySession = Session | EnsembleSession


def open_session(
    bundle: str | Path | None = None,
    *,
    threads: int | None = None,
    engine: EngineName = EngineName.OPENVINO,
    started: float | None = None,
) -> AnySession:
    """Open a bundle or an ensemble; arguments and errors are those of `Session.open`."""
    if bundle is not None and is_ensemble(Path(bundle)):
        return EnsembleSession.open(bundle, threads=threads, engine=engine, started=started)
    return Session.open(bundle, threads=threads, engine=engine, started=started)
