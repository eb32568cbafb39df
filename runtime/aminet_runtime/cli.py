# SPDX-License-Identifier: Apache-2.0
"""`aminet-run`: patient folders in, findings out.

What is slow to import is imported once the arguments are known to be good.
"""

import gc
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_runtime.budget import watchdog
from aminet_runtime.cli_options import PROG, Options, parse
from aminet_runtime.console import error_line, progress_bar, run_command
from aminet_runtime.errors import AminetError, OutputNotWritable
from aminet_runtime.process import started_at
from aminet_runtime.signals import EXIT_TERMINATED, terminating_cleanly

if TYPE_CHECKING:
    from aminet_runtime.batch import PatientOutcome
    from aminet_runtime.result_place import ResultPlace
    from aminet_runtime.sessions import AnySession

EXIT_BUG = 1
EXIT_WARNINGS = 3

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Imports make many objects and no garbage: collecting less often starts 10 ms sooner."""

LONGEST_START_S = 5.0
"""From the start of the process to ours. One that is older was another program, which became this
one by exec: its age says nothing about us."""

CASE_STDOUT = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Without the command's name; those of this process if None.

    Returns:
        The exit code.
    """
    if arguments is not None:
        return _main(arguments, started=time.perf_counter())
    started = _start_of_the_process()
    _own_the_process()
    try:
        code = _main(sys.argv[1:], started=started)
    except SystemExit as ending:
        if ending.code != EXIT_TERMINATED:  # --help and --version
            raise
        code = EXIT_TERMINATED  # an orderly end would wait for a thread whose read hangs
    return _leave(code)


def _start_of_the_process() -> float:
    """Return when the interpreter started, by `time.perf_counter`; now if nobody can tell."""
    now, started = time.perf_counter(), started_at()
    return now if started is None or now - started > LONGEST_START_S else started


def _own_the_process() -> None:
    """Set what a library must not set for its host."""
    from aminet_runtime.engines.openvino_import import skip_model_converter

    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices
    skip_model_converter()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a console may know few letters


def _leave(code: int) -> int:
    """End the process without tearing down OpenVINO, which takes 20 ms; all files are closed."""
    if "--debug" in sys.argv:
        return code  # profilers and coverage want an orderly end
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _main(words: Sequence[str], *, started: float) -> int:
    debug = "--debug" in words
    try:
        with terminating_cleanly():
            return run_command(PROG, partial(_run, words, started), debug=debug)
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        print(f"{PROG}: bug[{kind}]: {error}; run with --debug and report it", file=sys.stderr)
        return EXIT_BUG


def _run(words: Sequence[str], started: float) -> int:
    """Do what is asked; an error that concerns no single patient is told as JSON, too."""
    try:
        options = parse(words)
        _set_up_logging(options)
        return _examine(options) if options.doctor else _run_patients(options, started)
    except AminetError as error:
        if "--json" in words:
            _print_error_as_json(error, patient=None)
        raise


def _set_up_logging(options: Options) -> None:
    if options.verbose or options.debug:
        import logging

        level = logging.DEBUG if options.debug else logging.INFO
        logging.basicConfig(level=level, stream=sys.stderr, format=f"{PROG}: %(message)s")


def _examine(options: Options) -> int:
    from aminet_runtime.doctor import diagnose
    from aminet_runtime.engines.choice import EngineName
    from aminet_runtime.result import to_json_line

    diagnosis = diagnose(options.bundle, threads=options.threads, engine=EngineName(options.engine))
    _print(to_json_line(diagnosis.to_json()) if options.json else diagnosis.to_text())
    return diagnosis.exit_code


def _run_patients(options: Options, started: float) -> int:
    """Run all patients, print how each ended, and return the highest exit code."""
    from aminet_runtime.batch import check_places
    from aminet_runtime.result_table import format_overview, overview_row

    place = _result_place(options)
    check_places(options.patients, place)
    run = _run_in_turns if options.jobs == 1 else _run_at_once
    code, rows = 0, []
    with closing(run(options, place, started)) as outcomes:
        for outcome in outcomes:
            _report(outcome, options)
            code = max(code, _exit_code(outcome, options))
            rows.append(overview_row(outcome))
    if len(rows) > 1 and not options.json:
        _print(format_overview(rows))
    return code


def _run_in_turns(
    options: Options, place: "ResultPlace | None", started: float
) -> "Generator[PatientOutcome, None, None]":
    """Run one patient after the other in this process."""
    from aminet_runtime.batch import run_patient
    from aminet_runtime.patient_name import display_name

    with _open_session(options, started) as session:
        for patient in options.patients:
            with progress_bar(display_name(patient), quiet=options.quiet) as on_progress:
                outcome = run_patient(
                    session, patient, budget=options.budget, place=place, on_progress=on_progress
                )
            yield outcome


def _run_at_once(
    options: Options, place: "ResultPlace | None", _started: float
) -> "Generator[PatientOutcome, None, None]":
    """Run several patients at a time in processes of their own."""
    from aminet_runtime.engines.choice import EngineName
    from aminet_runtime.jobs import Plan, run_patients, threads_for_each

    jobs = min(options.jobs, len(options.patients))
    threads = threads_for_each(jobs, options.threads)
    engine = EngineName(options.engine)
    plan = Plan(options.bundle, engine, threads=threads, budget=options.budget, place=place)
    outcomes = run_patients(options.patients, plan, jobs=jobs)
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        for done, outcome in enumerate(outcomes, start=1):
            yield outcome
            on_progress(done, len(options.patients))


def _result_place(options: Options) -> "ResultPlace | None":
    if options.output is None:
        return None
    from aminet_runtime.result import PatientResult
    from aminet_runtime.result_place import ResultPlace

    to_json = PatientResult.to_json_with_slices if options.slices else PatientResult.to_json
    return ResultPlace(
        options.output,
        to_json=to_json,
        keeps_existing=options.no_clobber,
        skips_done=options.skip_done,
    )


def _open_session(options: Options, started: float) -> "AnySession":
    with watchdog(options.budget.deadline()):
        from aminet_runtime.engines.choice import EngineName
        from aminet_runtime.sessions import open_session

        engine = EngineName(options.engine)
        return open_session(options.bundle, threads=options.threads, engine=engine, started=started)


def _report(outcome: "PatientOutcome", options: Options) -> None:
    """Print how one patient ended: results on stdout, errors on stderr."""
    from aminet_runtime.result import PatientResult, to_json_line
    from aminet_runtime.result_table import format_result

    ending = outcome.ending
    if isinstance(ending, AminetError):
        _print_error(outcome.patient, ending, options)
    elif not isinstance(ending, PatientResult):
        _print(to_json_line(ending.values) if options.json else f"{outcome.patient}: done before")
    elif options.json:
        values = ending.to_json_with_slices() if options.slices else ending.to_json()
        _print(to_json_line(values))
    else:
        _print(format_result(ending))


def _print_error(patient: str, error: AminetError, options: Options) -> None:
    if options.json:
        _print_error_as_json(error, patient=patient)
    if options.debug:
        import traceback

        traceback.print_exception(error)
    if len(options.patients) == 1:
        print(error_line(PROG, error), file=sys.stderr)
    else:
        print(f"{PROG}: error[{error.code}]: {patient}: {error}", file=sys.stderr)


def _print_error_as_json(error: AminetError, *, patient: str | None) -> None:
    from aminet_runtime.result import error_to_json, to_json_line

    _print(to_json_line(error_to_json(error, patient=patient)))


def _exit_code(outcome: "PatientOutcome", options: Options) -> int:
    if isinstance(outcome.ending, AminetError):
        return outcome.ending.exit_code
    return EXIT_WARNINGS if options.strict and outcome.ending.warning_count else 0


def _print(text: str) -> None:
    """Print to stdout, and know whether it got there."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as cause:
        raise OutputNotWritable(
            f"the standard output cannot be written ({cause.strerror})",
            case=CASE_STDOUT,
            hint="check the disk",
        ) from cause
