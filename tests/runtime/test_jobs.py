# SPDX-License-Identifier: Apache-2.0
"""Patients at once: the same results as one after the other, and no process is left behind."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from aminet_runtime import errors, jobs
from aminet_runtime.budget import Budget
from aminet_runtime.cli import main
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.errors import BudgetExceeded
from aminet_runtime.jobs import Plan, run_patients, threads_for_each

TIMES = {"created", "timings_ms", "peak_rss_mib"}
WORKER = """
import os, signal, struct, sys, time
from pathlib import Path
from aminet_runtime import jobs

run_patient = jobs.run_patient

def run(session, patient, **options):
    name = Path(patient).name
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "torn":
        os.write(pipe.fileno(), struct.pack("!i", 1000) + b"half of a wo")
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "ended":
        os._exit(7)
    if name == "hanging":
        Path(patient, "pid").write_text(str(os.getpid()))
        time.sleep(60)
    return run_patient(session, patient, **options)

def work(connection, plan):
    global pipe
    pipe = connection
    doomed = Path(__file__).with_name("doomed")  # how many are killed before they open a session
    if doomed.exists() and (count := int(doomed.read_text())):
        doomed.write_text(str(count - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    jobs.run_patient = run
    jobs._work(connection, plan)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture
def odd_workers(tmp_path, monkeypatch):
    """Let workers die or hang at patients of certain names."""
    (tmp_path / "odd_worker.py").write_text(WORKER)
    monkeypatch.syspath_prepend(str(tmp_path))
    import odd_worker  # type: ignore[import-not-found]  # noqa: PLC0415 - written above

    monkeypatch.setattr(jobs, "_work", odd_worker.work)
    yield
    del sys.modules["odd_worker"]


@pytest.fixture
def cohort(write_patient):
    """Five patients, the third of them damaged."""
    folders = [write_patient(f"p{number}", affected=(number,)) for number in range(5)]
    (folders[2] / "CTA2regA.nii.gz").write_bytes(b"no scan")
    return folders


def read_json(lines):
    kept = []
    for line in lines.splitlines():
        values = json.loads(line)
        kept.append({key: value for key, value in values.items() if key not in TIMES})
    return kept


def test_results_are_those_of_one_job_in_the_order_of_the_arguments(
    bundle_path, cohort, tmp_path, capsys
):
    words = ["--bundle", str(bundle_path), "--json", "--slices", *map(str, cohort)]
    codes, printed, written = [], [], []
    for jobs_wanted, threads in ((1, 1), (3, 3)):
        output = tmp_path / f"by{jobs_wanted}"
        options = ["--jobs", str(jobs_wanted), "--threads", str(threads), "-o", str(output)]
        codes.append(main([*words, *options]))
        printed.append(read_json(capsys.readouterr().out))
        written.append(
            {
                path.parent.name: read_json(json.dumps(json.loads(path.read_bytes())))
                for path in output.glob("*/result.json")
            }
        )

    assert codes == [12, 12]
    assert [line["patient"] for line in printed[0]] == [f"p{number}" for number in range(5)]
    assert printed[0] == printed[1]
    assert written[0] == written[1]
    assert len(written[0]) == 4


def test_table_closes_the_run_and_counts(bundle_path, cohort, capsys):
    main(["--bundle", str(bundle_path), "--jobs", "2", *map(str, cohort)])

    assert capsys.readouterr().out.splitlines()[-2:] == [
        "5 patients: 1 with flagged regions, 3 without, 1 error.",
        "",
    ]


@pytest.mark.parametrize(("total", "jobs_wanted", "each"), [(4, 2, 2), (5, 2, 2), (2, 4, 1)])
def test_threads_are_split_evenly(total, jobs_wanted, each):
    assert threads_for_each(jobs_wanted, total) == each


def test_threads_are_split_among_no_more_jobs_than_patients(bundle_path, cohort, capsys):
    words = ["--bundle", str(bundle_path), "--jobs", "8", "--threads", "4", "--json"]

    main([*words, *map(str, cohort[:2])])

    results = map(json.loads, capsys.readouterr().out.splitlines())
    assert [result["threads"] for result in results] == [2, 2]


def test_threads_of_the_machine_are_split_where_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(jobs, "available_threads", lambda: 8)

    assert threads_for_each(2, None) == 4


def test_bundle_that_cannot_be_opened_ends_the_run_once(cohort, tmp_path, capsys):
    code = main(["--bundle", str(tmp_path), "--jobs", "2", *map(str, cohort)])

    assert code == 20
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("killed", "E4006", "was killed, perhaps"),
        ("torn", "E4006", "the process of this patient was killed, perhaps"),
        ("ended", "E7001", "ended with code 7"),
    ],
)
@pytest.mark.usefixtures("odd_workers")
@posix
def test_worker_that_dies_costs_its_own_patient_only(
    bundle_path, write_patient, name, code, message
):
    folders = [write_patient(one) for one in ("a", name, "b", "c")]
    plan = Plan(bundle_path, EngineName.OPENVINO, threads=1, budget=Budget(), place=None)

    outcomes = list(run_patients([str(folder) for folder in folders], plan, jobs=2))

    assert [outcome.patient for outcome in outcomes] == ["a", name, "b", "c"]
    error = outcomes.pop(1).ending
    assert error.code == code
    assert message in error.message
    assert all(outcome.ending.affected for outcome in outcomes)


@pytest.mark.usefixtures("odd_workers")
@posix
def test_worker_that_dies_before_its_first_patient_costs_none(bundle_path, write_patient, tmp_path):
    (tmp_path / "doomed").write_text("2")
    folders = [str(write_patient(name)) for name in ("a", "b")]
    plan = Plan(bundle_path, EngineName.OPENVINO, threads=1, budget=Budget(), place=None)

    outcomes = list(run_patients(folders, plan, jobs=1))

    assert [outcome.patient for outcome in outcomes] == ["a", "b"]
    assert all(outcome.ending.affected for outcome in outcomes)


@pytest.mark.usefixtures("odd_workers")
@posix
def test_run_ends_where_no_worker_lives(bundle_path, write_patient, tmp_path):
    (tmp_path / "doomed").write_text("99")
    plan = Plan(bundle_path, EngineName.OPENVINO, threads=1, budget=Budget(), place=None)

    with pytest.raises(BudgetExceeded, match="one process after the other was killed"):
        list(run_patients([str(write_patient())], plan, jobs=1))

    assert (tmp_path / "doomed").read_text() == str(99 - jobs.MAX_VAIN_DEATHS - 1)


def test_workers_that_did_start_do_the_work_of_one_that_cannot(
    bundle_path, write_patient, monkeypatch
):
    start = multiprocessing.context.SpawnProcess._Popen
    started = []

    def start_one(process):
        if started:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        started.append(process)
        return start(process)

    warned = []
    monkeypatch.setattr("multiprocessing.context.SpawnProcess._Popen", staticmethod(start_one))
    # a library that other tests load switches loggers off
    monkeypatch.setattr(jobs._LOGGER, "warning", lambda *words: warned.append(words[0] % words[1:]))
    folders = [str(write_patient(name)) for name in ("a", "b", "c")]
    plan = Plan(bundle_path, EngineName.OPENVINO, threads=1, budget=Budget(), place=None)

    outcomes = list(run_patients(folders, plan, jobs=2))

    assert all(outcome.ending.affected for outcome in outcomes)
    (warning,) = warned
    assert warning.startswith("the system starts no further process")
    assert warning.endswith("going on with 1")


@pytest.mark.usefixtures("no_process_starts")
def test_worker_that_cannot_start_ends_the_run(bundle_path, cohort, capsys):
    assert main([*map(str, cohort), "--bundle", str(bundle_path), "--jobs", "2"]) == 40
    assert capsys.readouterr().err == (
        "aminet-run: error[E4007]: the system starts no further process "
        "(Resource temporarily unavailable); use fewer --jobs\n"
    )


class GoneWorker(jobs._Worker):
    """A worker that has died after its last patient."""

    def __init__(self):
        self.connection, far_end = multiprocessing.Pipe()
        far_end.close()
        self.patient = 0

    def end(self):
        self.connection.close()

    def join(self):
        pass


def test_patient_of_a_worker_that_died_meanwhile_goes_on_waiting(bundle_path):
    plan = Plan(bundle_path, EngineName.OPENVINO, threads=1, budget=Budget(), place=None)
    crew = jobs._Crew(["a", "b"], plan, size=1)
    worker = GoneWorker()
    crew._workers.append(worker)

    crew._assign(worker)

    assert list(crew._waiting) == [0, 1]
    assert crew._workers == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (9, -9)])
@posix
def test_no_process_outlives_the_command(bundle_path, write_patient, tmp_path, number, code):
    (tmp_path / "odd_worker.py").write_text(WORKER)
    folder = write_patient("hanging")
    script = tmp_path / "script.py"
    script.write_text(
        "import signal\n"
        "from aminet_runtime import cli, jobs\n"
        "if __name__ == '__main__':\n"
        "    import odd_worker\n"
        "    jobs._work = odd_worker.work\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    raise SystemExit(cli.main())\n"
    )
    words = [sys.executable, str(script), str(folder), str(write_patient("b")), "--jobs", "2"]
    words += ["--bundle", str(bundle_path), "-o", str(tmp_path / "results")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
        worker = int(await_text(folder / "pid"))
        process.send_signal(number)
        process.wait(timeout=60)
        if code < 0:  # who is killed cannot end its worker, which ends by itself, but later
            os.kill(worker, signal.SIGTERM)
        await_end(worker)
        err = process.stderr.read()

    assert process.returncode == code
    assert "Traceback" not in err or code < 0, "who was killed may leave a worker half started"
    assert list(tmp_path.glob("results/hanging/*")) == []


def await_text(path):
    for _ in range(1200):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise TimeoutError(path)


def await_end(process_id):
    for _ in range(1200):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise TimeoutError(process_id)


@posix
def test_worker_ends_once_its_command_is_gone(bundle_path):
    """The far end of its pipe closes, whatever became of the command."""
    worker = jobs._Worker(
        Plan(bundle_path, EngineName.OPENVINO, threads=1, budget=Budget(), place=None)
    )
    assert worker.connection.recv() is None, "its session is open"

    worker.connection.close()
    worker._process.join(60)

    assert worker._process.exitcode == 0


LEAVES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.AminetError) and not kind.__subclasses__()
]


@pytest.mark.parametrize("kind", LEAVES)
def test_errors_pass_the_pipe_as_they_are(kind):
    error = kind("wrong", case=7, path="379/CTA1.nii", hint="repair it")
    near, far = multiprocessing.Pipe()
    near.send(error)
    received = far.recv()

    assert type(received) is kind
    assert vars(received) == vars(error)
    assert str(received) == "CTA1.nii: wrong; repair it"
