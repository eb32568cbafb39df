# SPDX-License-Identifier: Apache-2.0
"""The command as its user meets it: in a process of its own, by exit code, stdout and stderr."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import aminet_runtime
from aminet_runtime import cli
from aminet_runtime.cli_options import parse
from aminet_runtime.errors import UsageError

SCHEMAS = Path(aminet_runtime.__file__).parent / "schemas"
COMMAND = [
    sys.executable,
    "-W",
    "error",
    "-c",
    "from aminet_runtime.cli import main; raise SystemExit(main())",
]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


@dataclass(frozen=True)
class Answer:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def environment(**changes):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ONEDNN")}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), **changes}


def run(*words, cwd=None, **changes):
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        cwd=cwd,
        env=environment(**changes),
        timeout=60,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run_bundle(bundle_path):
    def with_bundle(*words, **changes):
        return run("--bundle", bundle_path, *words, **changes)

    return with_bundle


def damage(folder):
    path = folder / "CTA2regA.nii.gz"
    path.write_bytes(path.read_bytes()[:-100])
    return folder


def schema(name):
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text()))


# --- what it prints


def test_prints_a_table_and_nothing_else(run_bundle, write_patient):
    answer = run_bundle(write_patient())

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Patient 379: 2 regions flagged\n")
    assert answer.out.count("FLAGGED") == 2
    assert "Not a medical device." in answer.out


def test_prints_json_that_satisfies_the_schema(run_bundle, write_patient):
    answer = run_bundle(write_patient(), "--json", "--slices")

    assert (answer.code, answer.err) == (0, "")
    schema("result-1").validate(answer.json)
    assert answer.json["slices"]["count"] == 12
    assert answer.json["timings_ms"]["start"] > 0


def test_findings_never_change_the_exit_code(run_bundle, write_patient):
    assert run_bundle(write_patient("none", affected=())).code == 0
    assert run_bundle(write_patient("many", affected=(4, 5, 6))).code == 0


def test_writes_the_result_as_a_file(run_bundle, write_patient, tmp_path):
    answer = run_bundle(write_patient(), "-o", tmp_path / "results")

    path = tmp_path / "results" / "379" / "result.json"
    schema("result-1").validate(json.loads(path.read_bytes()))
    assert "Patient 379" in answer.out
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html", "result.json"]


def test_result_files_of_two_runs_differ_in_times_and_memory_only(
    run_bundle, write_patient, tmp_path
):
    folder = write_patient()
    contents = []
    for name in ("a", "b"):
        run_bundle(folder, "-o", tmp_path / name, "--slices")
        values = json.loads((tmp_path / name / "379" / "result.json").read_bytes())
        for key in ("created", "timings_ms", "peak_rss_mib"):
            del values[key]
        contents.append(values)

    assert contents[0] == contents[1]


def test_warnings_are_an_exit_code_only_with_strict(build_bundle, write_patient):
    bundle = build_bundle(training_spacing_mm=(0.5, 0.5, 0.5))
    folder = write_patient()

    assert run("--bundle", bundle, folder).code == 0
    strict = run("--bundle", bundle, folder, "--strict")
    assert strict.code == 3
    assert "warning[W1201]" in strict.out


# --- several patients


def test_each_patient_has_its_own_ending_and_a_table_closes(run_bundle, write_patient, tmp_path):
    good = write_patient("good")
    bad = damage(write_patient("bad"))
    last = write_patient("last", affected=())

    answer = run_bundle(bad, good, last, "-o", tmp_path / "results")

    assert answer.code == 11
    assert answer.err.startswith("aminet-run: error[E11")
    assert "]: bad: CTA2regA.nii.gz: " in answer.err
    assert len(answer.err.splitlines()) == 1
    *_, header, bad_row, good_row, last_row, tally, _ = answer.out.splitlines()
    rows = [header, bad_row, good_row, last_row]
    assert [row.split()[0] for row in rows] == ["patient", "bad", "good", "last"]
    assert tally == "3 patients: 1 with flagged regions, 1 without, 1 error."
    written = sorted(path.parent.name for path in tmp_path.glob("results/*/result.json"))
    assert written == ["good", "last"]


def test_json_of_several_patients_is_one_line_each_in_order(run_bundle, write_patient):
    folders = [write_patient("b"), damage(write_patient("a")), write_patient("c")]

    answer = run_bundle(*folders, "--json")

    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [(line["patient"], line["status"]) for line in lines] == [
        ("b", "ok"),
        ("a", "error"),
        ("c", "ok"),
    ]
    schema("error-1").validate(lines[1])


def test_exit_code_of_several_patients_is_the_highest(run_bundle, write_patient, tmp_path):
    damaged = damage(write_patient("a"))
    chest = write_patient("b")
    water = (chest / "CTA2regA.nii.gz").read_bytes()
    (chest / "CTA2regA.nii.gz").write_bytes(water[:-4])

    assert run_bundle(damaged, tmp_path / "nowhere", write_patient("c")).code == 11


def test_patients_of_one_name_are_refused_only_if_results_would_collide(
    run_bundle, write_patient, tmp_path
):
    first = write_patient("a/379")
    second = write_patient("b/379", affected=())

    assert run_bundle(first, second).code == 0
    answer = run_bundle(first, second, "-o", tmp_path / "results")
    assert answer.code == 2
    assert "same place" in answer.err


# --- errors: one line, and JSON if asked for


def test_error_is_one_line_on_stderr(run_bundle, write_patient):
    answer = run_bundle(damage(write_patient()))

    assert answer.code == 11
    assert answer.out == ""
    assert answer.err.startswith("aminet-run: error[E11")
    assert "CTA2regA.nii.gz: " in answer.err
    assert len(answer.err.splitlines()) == 1


def test_current_folder_as_bundle_is_named_though_its_path_has_no_name(tmp_path):
    answer = run("--bundle", ".", "x", "--json", cwd=tmp_path)

    assert answer.err.startswith("aminet-run: error[E2003]: .: this is no bundle")
    assert answer.json["message"].startswith(".: this is no bundle")


def test_error_is_json_too_if_asked_for(run_bundle, write_patient):
    answer = run_bundle(damage(write_patient()), "--json")

    schema("error-1").validate(answer.json)
    assert answer.json["patient"] == "379"
    assert len(answer.err.splitlines()) == 1


def test_traceback_comes_only_with_debug(run_bundle, write_patient):
    answer = run_bundle(damage(write_patient()), "--debug")

    assert "Traceback" in answer.err
    assert answer.code == 11


def change_bundle(folder, name, data):
    (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("name", "code"), [("model.bin", 21), ("metadata.json", 21), ("SHA256SUMS", 21)]
)
def test_changed_bundle_ends_all_patients(bundle_path, write_patient, tmp_path, name, code):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_path, folder)
    (folder / name).write_bytes(b"changed")

    answer = run("--bundle", folder, write_patient("a"), write_patient("b"), "--json")

    assert answer.code == code
    assert answer.json["patient"] is None
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no patient folder is named"),
        ([""], "no patient folder is named"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--threads", "0", "x"], "'0' is not a whole number"),
        (["--js", "x"], "unrecognized arguments: --js"),
        (["--threads", "1025", "x"], "'1025' is not a whole number from 1 to 1024"),
        (["--threads", "two", "x"], "'two' is not a whole number"),
        (["--threads", "²", "x"], "is not a whole number"),
        (["--time-limit", "0", "x"], "'0' is not a number of seconds"),
        (["--time-limit", "nan", "x"], "'nan' is not a number of seconds"),
        (["--time-limit", "inf", "x"], "'inf' is not a number of seconds"),
        (["--memory-limit", "8", "x"], "'8' is not a size"),
        (["--memory-limit", "GiB", "x"], "'GiB' is not a size"),
        (["--memory-limit", "0GiB", "x"], "'0GiB' is not a size"),
        (["--memory-limit", "-1GiB", "x"], "expected one argument"),
        (["--memory-limit", "9" * 99 + "GiB", "x"], "is not a size"),
        (["--doctor", "x"], "--doctor takes no patients"),
    ],
)
def test_bad_options_are_one_line_and_code_2(words, message):
    answer = run(*words)

    assert answer.code == 2
    assert message in answer.err
    assert answer.err.startswith("aminet-run: error[E02")
    assert len(answer.err.splitlines()) == 1


def test_bad_option_is_json_too_if_asked_for():
    answer = run("--json", "--bogus")

    assert answer.code == 2
    schema("error-1").validate(answer.json)


@pytest.mark.parametrize(
    ("text", "size"), [("500MiB", 500 * 2**20), ("2GiB", 2**31), ("1GB", 10**9), ("7mb", 7 * 10**6)]
)
def test_sizes_have_units(text, size):
    assert parse(["x", "--memory-limit", text]).budget.memory_limit_bytes == size


def test_options_are_refused_in_process_too():
    with pytest.raises(UsageError):
        parse(["--bogus"])


@pytest.mark.parametrize("inside", ["", "results", "a/b"])
def test_output_inside_of_a_patient_folder_is_refused(run_bundle, write_patient, inside):
    folder = write_patient()

    answer = run_bundle(folder, "-o", folder / inside)

    assert answer.code == 2
    assert "only read" in answer.err
    assert [path.name for path in folder.iterdir()] == ["CTA2regA.nii.gz"]


@posix
def test_output_that_leads_into_a_patient_folder_by_a_link_is_refused(
    run_bundle, write_patient, tmp_path
):
    folder = write_patient()
    (tmp_path / "link").symlink_to(folder)

    assert run_bundle(folder, "-o", tmp_path / "link").code == 2


def test_cohort_as_output_is_refused_since_it_holds_the_patient(run_bundle, write_patient):
    """cohort/379/result.json would lie in the patient's own folder."""
    folder = write_patient()

    assert run_bundle(folder, "-o", folder.parent).code == 2
    assert [path.name for path in folder.iterdir()] == ["CTA2regA.nii.gz"]


def test_output_that_is_a_file_is_refused_before_the_work(run_bundle, write_patient, tmp_path):
    (tmp_path / "results").write_bytes(b"")

    answer = run_bundle(write_patient(), "-o", tmp_path / "results")

    assert answer.code == 30
    assert answer.out == ""


def test_no_clobber_keeps_the_old_result_and_goes_on(run_bundle, write_patient, tmp_path):
    old, new = write_patient("old"), write_patient("new")
    results = tmp_path / "results"
    run_bundle(old, "-o", results)
    before = (results / "old" / "result.json").read_bytes()

    answer = run_bundle(old, new, "-o", results, "--no-clobber")

    assert answer.code == 31
    assert (results / "old" / "result.json").read_bytes() == before
    assert (results / "new" / "result.json").exists()


def test_existing_result_is_replaced_by_default(run_bundle, write_patient, tmp_path):
    folder = write_patient()
    target = tmp_path / "results" / "379" / "result.json"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")

    assert run_bundle(folder, "-o", tmp_path / "results").code == 0
    assert json.loads(target.read_bytes())["status"] == "ok"


def test_time_limit_is_exit_40(run_bundle, write_patient):
    answer = run_bundle(write_patient(), "--time-limit", "0.001")

    assert answer.code == 40
    assert "time limit of 0.001 s" in answer.err


def test_memory_limit_is_exit_40(run_bundle, write_patient):
    answer = run_bundle(write_patient(), "--memory-limit", "70MiB")

    assert answer.code == 40
    assert "memory limit is 70 MiB" in answer.err


def test_uncaught_exception_is_code_1_and_asks_for_a_report(monkeypatch, capsys):
    def failing(_words, _started):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "_run", failing)

    assert cli.main(["x"]) == 1
    assert "bug[ZeroDivisionError]: division by zero" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        cli.main(["x", "--debug"])


def test_lack_of_memory_is_exit_40(bundle_path, write_patient, monkeypatch, capsys):
    def starved(*_arguments, **_keywords):
        raise MemoryError

    monkeypatch.setattr("aminet_runtime.session.Session.run", starved)

    assert cli.main(["--bundle", str(bundle_path), str(write_patient())]) == 40
    assert "out of memory" in capsys.readouterr().err


# --- surroundings


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_run_without_a_trace(bundle_path, tmp_path, number, code):
    """A FIFO whose writer never writes stands for a drive that hangs."""
    folder = tmp_path / "379"
    folder.mkdir()
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import signal, sys, time\n"
        # a job in the background inherits an ignored SIGINT
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from aminet_runtime import cli, session\n"
        "def hang(*a, **k):\n"
        "    print('hanging', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "session.Session.run = hang\n"
        "raise SystemExit(cli.main())\n"
    )
    (folder / "CTA2regA.nii").write_bytes(b"")
    command = [sys.executable, str(slow), str(folder), "--bundle", str(bundle_path)]
    command += ["-o", str(tmp_path / "results")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stderr.readline() == "hanging\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert process.returncode == code
    assert "Traceback" not in err
    assert out == ""
    assert list((tmp_path / "results").rglob("*")) == []


@posix
def test_termination_does_not_wait_for_a_thread_that_hangs(bundle_path, write_patient, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import sys, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from aminet_runtime import cli, session\n"
        "def hang(*a, **k):\n"
        "    reading = ThreadPoolExecutor(1).submit(time.sleep, 60)\n"
        "    print('hanging', file=sys.stderr, flush=True)\n"
        "    reading.result()\n"
        "session.Session.run = hang\n"
        "raise SystemExit(cli.main())\n"
    )
    command = [sys.executable, str(slow), str(write_patient()), "--bundle", str(bundle_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stderr.readline() == b"hanging\n"
        process.terminate()

        assert process.wait(timeout=20) == 143


@posix
def test_reader_that_goes_away_is_no_error_message(bundle_path, write_patient):
    words = [*COMMAND, "--bundle", str(bundle_path), str(write_patient())]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)

    assert (process.returncode, err) == (141, b"")


@posix
@pytest.mark.parametrize("patient", ["", "nowhere"], ids=["no patient", "a patient"])
def test_reader_of_the_errors_that_goes_away_is_no_bug(bundle_path, patient):
    reader, writer = os.pipe()
    os.close(reader)
    words = [*COMMAND, "--bundle", str(bundle_path), patient]
    done = subprocess.run(words, stderr=writer, check=False, env=environment())
    os.close(writer)

    assert done.returncode == 141


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_streams_do_not_matter(bundle_path, write_patient, tmp_path, closed):
    words = [
        *COMMAND,
        "--bundle",
        str(bundle_path),
        str(write_patient()),
        "-o",
        str(tmp_path / "r"),
    ]

    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words],
        capture_output=True,
        check=False,
        env=environment(),
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "r" / "379" / "result.json").exists()


def test_host_may_call_main_from_a_thread(bundle_path, write_patient):
    codes = []
    words = ["--bundle", str(bundle_path), str(write_patient()), "--json"]

    thread = threading.Thread(target=lambda: codes.append(cli.main(words)))
    thread.start()
    thread.join()

    assert codes == [0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_stdout_is_an_output_error(bundle_path, write_patient):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "--bundle", str(bundle_path), str(write_patient())],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
        )

    assert done.returncode == 30
    assert "standard output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TZ": "Asia/Kathmandu"},
        {"PYTHONOPTIMIZE": "2"},
        {"HOME": "/nonexistent"},
        {"COLUMNS": "20"},
    ],
)
def test_works_in_odd_surroundings(build_bundle, write_patient, changes):
    names = tuple(f"Gefäß {number} 血管" for number in range(15))

    answer = run("--bundle", build_bundle(names=names), write_patient("Anna ä"), **changes)

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("FLAGGED") == 2


@posix
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("two words", "two words"),
        ("quo'te\"", "quo'te%22"),
        ("-dash", "-dash"),
        ("line\nbreak", "line%0Abreak"),
        ("\udcff\udcfe", "%FF%FE"),
        ("ümläut", "ümläut"),
        ("a" * 200, "a" * 200),
    ],
)
def test_folder_of_any_name_is_read_and_its_results_can_travel(
    bundle_path, write_patient, tmp_path, name, place
):
    folder = write_patient(name)

    answer = run("--json", "--bundle", bundle_path, "-o", tmp_path / "r", "--", folder)

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\n") == 1
    assert answer.json["patient"].isprintable()
    assert [entry.name for entry in (tmp_path / "r").iterdir()] == [place]
    assert (tmp_path / "r" / place / "result.json").exists()


def test_relative_folders_and_dots_have_the_name_of_the_folder(run_bundle, write_patient):
    folder = write_patient()

    assert run_bundle(".", "--json", cwd=folder).json["patient"] == "379"
    assert run_bundle("../379/", "--json", cwd=folder).json["patient"] == "379"


@posix
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["x", "--json"], 10, "the current folder is gone"),
        (["x", "-o", "results"], 10, "the current folder is gone"),
        (["/nowhere", "-o", "results"], 30, "cannot be written"),
        (["--doctor"], 30, "the current folder cannot be used"),
    ],
)
def test_current_folder_that_was_deleted_is_an_error(bundle_path, tmp_path, words, code, message):
    folder = tmp_path / "deleted"
    folder.mkdir()
    python, *command = COMMAND
    command = [python, "-P", *command]  # as where it is installed: no imports from that folder
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *command, "--bundle", bundle_path, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(),
    )

    assert done.returncode == code
    assert message in done.stdout + done.stderr
    assert "bug[" not in done.stderr


def test_gzipped_file_that_is_called_nii_is_read(run_bundle, write_patient):
    folder = write_patient()
    (folder / "CTA2regA.nii.gz").rename(folder / "CTA2regA.nii")

    assert run_bundle(folder, "--json").json["status"] == "ok"


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_are_quick_and_import_nothing_heavy(word):
    code = (
        "import sys\n"
        "from aminet_runtime.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print([m for m in ('numpy', 'openvino', 'isal', 'json') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, word],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_help_has_an_example_and_the_exit_codes():
    answer = run("--help")

    assert answer.code == 0
    assert "aminet-run scans/379" in answer.out
    assert "exit codes" in answer.out


def test_version_is_that_of_the_package():
    assert run("--version").out == f"aminet-run {aminet_runtime.__version__}\n"


def test_verbose_run_tells_what_it_does_on_stderr(run_bundle, write_patient):
    answer = run_bundle(write_patient(), "--json", "-v")

    assert answer.json["status"] == "ok"
    assert "bands-fp32" in answer.err
    assert len(answer.err.splitlines()) < 10


def test_log_does_not_grow_with_slices_or_name_the_folder_above(run_bundle, write_patient):
    answer = run_bundle(write_patient(), "--debug")

    assert len(answer.err.splitlines()) < 10
    assert "cohort" not in answer.err


def test_doctor_answers_in_one_verdict(run_bundle):
    answer = run_bundle("--doctor")

    assert answer.code == 0
    assert answer.out.splitlines()[-2].startswith("fit: about")
    schema("doctor-1").validate(run_bundle("--doctor", "--json").json)


def test_doctor_has_the_exit_code_of_what_it_found(tmp_path):
    assert run("--doctor", "--bundle", tmp_path).code == 20


def test_time_limit_does_not_count_the_age_of_a_host(bundle_path, write_patient, monkeypatch):
    monkeypatch.setattr(cli, "started_at", lambda: time.perf_counter() - 1000.0)

    assert cli.main(["--bundle", str(bundle_path), str(write_patient()), "--json"]) == 0


@posix
def test_time_limit_does_not_count_what_ran_before_an_exec(bundle_path, write_patient):
    """`exec` keeps the start of the process."""
    words = [*COMMAND, "--bundle", str(bundle_path), str(write_patient()), "--json"]
    done = subprocess.run(
        ["sh", "-c", 'sleep 6; exec "$@"', "sh", *words, "--time-limit", "5"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["timings_ms"]["start"] < 5500.0


def test_host_that_calls_main_keeps_its_signal_handlers(bundle_path, write_patient):
    before = signal.getsignal(signal.SIGTERM)

    assert cli.main(["--bundle", str(bundle_path), str(write_patient()), "--json"]) == 0

    assert signal.getsignal(signal.SIGTERM) is before


@posix
def test_progress_is_drawn_on_a_terminal_only(bundle_path, tmp_path, make_head, make_nifti):
    """Runs under a pseudo-terminal; the bar appears after two seconds, so time is made to fly."""
    import pty  # noqa: PLC0415

    folder = tmp_path / "379"
    folder.mkdir()
    (folder / "CTA2regA.nii.gz").write_bytes(gzip.compress(make_nifti(make_head())))
    code = (
        "from aminet_runtime import console\n"
        "console.QUIET_SECONDS = 0.0\n"
        "from aminet_runtime.cli import main\n"
        "raise SystemExit(main())"
    )
    words = [sys.executable, "-c", code, "--bundle", str(bundle_path), str(folder)]
    master, slave = pty.openpty()
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=slave, check=False, env=environment()
    )
    os.close(slave)
    drawn = b""
    deadline = time.monotonic() + 5
    while b"12/12" not in drawn and time.monotonic() < deadline:
        drawn += os.read(master, 4096)
    os.close(master)

    assert done.returncode == 0
    assert b"379: 12/12" in drawn
