# SPDX-License-Identifier: Apache-2.0
"""Search hyperparameters: Optuna proposes, ASHA stops what lags behind, Ray runs the trials.

Each trial is an ordinary training run in a folder of its own, which goes on after a kill. A search
that was killed is started again with the same command: trials that ended are told to Optuna and
ASHA from our journal (`trials`), trials that had not ended go on first.
Source: Li et al., A system for massively parallel hyperparameter tuning, MLSys 2020 (ASHA).
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aminet_runtime.errors import AminetError, InputInconsistent, UsageError
from aminet_train.fitting.progress import EpochMetrics
from aminet_train.tuning.plan import TunePlan, require_same_search
from aminet_train.tuning.space import SIZE, Choice, Space, as_tables
from aminet_train.tuning.trials import (
    METRIC,
    Outcome,
    Trial,
    begin_trial,
    own,
    read_trials,
    record_end,
    record_epoch,
    require_owner,
)

BEST = "best_slice_ap"
"""What the search compares: the best epoch so far, since that is the one which a run keeps."""

EPOCH = "epoch"
RAY_FOLDER = "ray-scratch"

OnProgress = Callable[[int, int], None]


def tune(plan: TunePlan, *, on_progress: OnProgress = lambda _done, _total: None) -> list[Trial]:
    """Run a search, or go on with one, until all trials have ended.

    Args:
        plan: The search.
        on_progress: Called with trials that ended and trials in all.

    Returns:
        All trials.

    Raises:
        UsageError: Ray or Optuna are not installed.
        InputInconsistent: The folder holds another search, or no trial came to the end of an epoch.
        InputDamaged: The folder holds files that we did not write.
    """
    owner = own(plan.output)  # first: what workers of a killed search began until now is read
    known = read_trials(plan.output)
    require_same_search(plan, known)
    if sum(trial.outcome is not None for trial in known) < plan.trials:
        _search(plan, known, owner, on_progress)
    trials = read_trials(plan.output)
    if not any(trial.epochs for trial in trials):
        raise InputInconsistent(
            f"no trial came to the end of an epoch; the first says: {trials[0].reason}",
            path=plan.output,
            hint="try the same settings with aminet-train",
        )
    return trials


def run_trial(parameters: Mapping[str, Any], plan: TunePlan, report: Callable[..., None]) -> None:
    """Train with some parameters, from the start or from where a killed trial stopped.

    Args:
        parameters: Dotted keys of settings, and their values.
        plan: The search.
        report: Told of every epoch, as a mapping.
    """
    from aminet_train.fitting import fit  # noqa: PLC0415 - workers need it, the driver does not
    from aminet_train.fitting.resolve_config import resolve  # noqa: PLC0415
    from aminet_train.fitting.run_folder import RunFolder  # noqa: PLC0415

    trial = begin_trial(plan.output, parameters)
    observer = _Reporter(trial, report)
    try:
        if RunFolder(trial.run).config.exists():
            observer.report_known(plan.epochs)
            fit.resume(trial.run, observer=observer)
        else:
            size = parameters.get(SIZE, next(iter(plan.data)))
            named = {"model": plan.model, "data": list(plan.data[size])}
            budget = {"schedule": {"epochs": plan.epochs}}
            config = resolve(plan.settings, as_tables(parameters), budget, named)
            fit.train(config, trial.run, observer=observer)
    except AminetError as error:
        record_end(trial.folder, Outcome.FAILED, str(error))
        raise
    record_end(trial.folder, Outcome.DONE)
    observer.report_last()


class _Reporter:
    """Writes each epoch down, then tells the search.

    The last epoch is told when the checkpoint is there, since ASHA ends a trial at its last epoch.
    """

    def __init__(self, trial: Trial, report: Callable[..., None]) -> None:
        self._trial = trial
        self._report = report
        self._last: dict[str, float] | None = None

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Do nothing."""

    def on_epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Write down and report."""
        measured = {
            EPOCH: metrics.epoch,
            "loss": metrics.loss,
            METRIC: metrics.slice_ap,
            "slice_f1": metrics.slice_f1,
            "patient_f1": metrics.patient_f1,
        }
        self._trial = record_epoch(self._trial, measured)
        told = {**measured, BEST: self._trial.score}
        if metrics.epoch < epochs:
            self._report(told)
        else:
            self._last = told

    def report_last(self) -> None:
        """Tell the search of the last epoch, if the run came so far."""
        if self._last is not None:
            self._report(self._last)

    def report_known(self, epochs: int) -> None:
        """Tell the search how far the trial had come."""
        if self._trial.epochs:
            told = {**self._trial.epochs[-1], BEST: self._trial.score}
            if told[EPOCH] < epochs:
                self._report(told)
            else:
                self._last = told


def _search(plan: TunePlan, known: Sequence[Trial], owner: str, on_progress: OnProgress) -> None:
    ray_tune = _import_ray()
    ended = [trial for trial in known if trial.outcome is not None]
    callbacks = [_journal(ray_tune, plan, len(ended), on_progress)]

    def trainable(parameters: dict[str, Any]) -> None:
        require_owner(plan.output, owner)
        run_trial(parameters, plan, ray_tune.report)

    _start_ray(plan)
    tuner = ray_tune.Tuner(
        ray_tune.with_resources(trainable, {"cpu": plan.cpus}),
        tune_config=ray_tune.TuneConfig(
            search_alg=_searcher(plan, known),
            scheduler=_scheduler(plan, ended),
            num_samples=plan.trials - len(ended),
        ),
        run_config=ray_tune.RunConfig(
            name=f"from-{len(ended)}",
            storage_path=str((plan.output / RAY_FOLDER).resolve()),
            callbacks=callbacks,
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        _stop_ray()


def _import_ray() -> Any:
    # no report to Ray's makers, no change of the working folder, no note on its coming versions
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    try:
        import optuna  # noqa: PLC0415 - an extra of its own, hundreds of MB
        from ray import tune as ray_tune  # noqa: PLC0415
    except ImportError as cause:
        raise UsageError(
            "Ray Tune or Optuna is not installed", hint="pip install 'aminet[tune]'"
        ) from cause
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return ray_tune


def _start_ray(plan: TunePlan) -> None:
    import ray  # noqa: PLC0415

    # a failed trial is told in one line at the end, by us
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if plan.address is not None:
        ray.init(address=plan.address, **options)
    else:
        cpus = len(os.sched_getaffinity(0))
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)


def _stop_ray() -> None:
    import ray  # noqa: PLC0415

    ray.shutdown()


def _searcher(plan: TunePlan, known: Sequence[Trial]) -> Any:
    """Make Optuna's search, tell it of the trials that ended, and let the others go on first."""
    from ray.tune.search.optuna import OptunaSearch  # noqa: PLC0415

    going_on = [dict(trial.parameters) for trial in known if trial.outcome is None]
    searcher = OptunaSearch(
        space=_distributions(plan.space),
        metric=BEST,
        mode="max",
        seed=plan.seed + len(known),
        points_to_evaluate=going_on or None,
    )
    for trial in known:
        if trial.outcome is not None:
            has_failed = trial.outcome is Outcome.FAILED
            searcher.add_evaluated_point(dict(trial.parameters), trial.score, error=has_failed)
    return searcher


def _distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import (  # noqa: PLC0415
        CategoricalDistribution,
        FloatDistribution,
    )

    return {
        name: CategoricalDistribution(one.values)
        if isinstance(one, Choice)
        else FloatDistribution(one.low, one.high, log=one.is_logarithmic)
        for name, one in space.items()
    }


def _scheduler(plan: TunePlan, ended: Sequence[Trial]) -> Any:
    """Make ASHA, and walk it through the epochs of the trials that ended."""
    from ray.tune.schedulers import ASHAScheduler  # noqa: PLC0415

    scheduler = ASHAScheduler(
        time_attr=EPOCH,
        metric=BEST,
        mode="max",
        max_t=plan.epochs,
        grace_period=min(plan.grace_epochs, plan.epochs),
        reduction_factor=plan.reduction,
    )
    for trial in ended:
        stand_in = SimpleNamespace(trial_id=trial.name)
        scheduler.on_trial_add(None, stand_in)
        best = 0.0
        for epoch in trial.epochs:
            best = max(best, float(epoch[METRIC]))
            result = {EPOCH: epoch[EPOCH], BEST: best}
            scheduler.on_trial_result(None, stand_in, result)
    return scheduler


def _journal(ray_tune: Any, plan: TunePlan, ended: int, on_progress: OnProgress) -> Any:
    """Make the callback that writes down which trials ASHA stopped."""

    class Journal(ray_tune.Callback):  # type: ignore[misc]  # Ray is imported on demand
        """Knows how many trials have ended."""

        def __init__(self) -> None:
            self.ended = ended

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ARG002
            folder = begin_trial(plan.output, trial.config).folder
            record_end(folder, Outcome.STOPPED)
            self._count()

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ARG002
            folder = begin_trial(plan.output, trial.config).folder
            record_end(folder, Outcome.FAILED, f"ended unexpectedly; see {RAY_FOLDER}")
            self._count()

        def _count(self) -> None:
            self.ended += 1
            on_progress(self.ended, plan.trials)

    return Journal()
