# SPDX-License-Identifier: Apache-2.0
"""The result as JSON and as text: complete, exact, and careful with its words."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import aminet_runtime
from aminet_runtime.batch import PatientOutcome
from aminet_runtime.decision import DecisionRule, find_regions
from aminet_runtime.errors import AminetError, InputDamaged, UsageError, printable
from aminet_runtime.result import (
    InputSummary,
    ModelReference,
    PatientResult,
    ResultWarning,
    WarningCode,
    error_to_json,
    to_json_file,
    to_json_line,
)
from aminet_runtime.result_table import format_overview, format_result, overview_row
from aminet_runtime.stopwatch import Timings
from aminet_runtime.text_table import align, cut, width_of

SCHEMAS = Path(aminet_runtime.__file__).parent / "schemas"
NAMES = tuple(f"Territory {letter}" for letter in "ABCDEFGHIJKLMNO")


def schema(name):
    content = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


@pytest.fixture
def result() -> PatientResult:
    """Regions 3 and 7 are flagged, region 5 is not assessed."""
    scores = np.linspace(0.0, 0.3, 12 * 15, dtype=np.float32).reshape(12, 15)
    scores[2:5, 3] = 0.93
    scores[8, 3] = 0.7
    scores[6, 7] = 0.999
    thresholds = tuple(None if region == 5 else 0.5 for region in range(15))
    return PatientResult(
        patient="379",
        created="2026-05-04T10:11:12Z",
        model=ModelReference("c" * 64, "mobilenetv2", "int8", "mobilenetv2-int8", "OpenVINO 1"),
        regions=find_regions(scores, DecisionRule(thresholds, 1), names=NAMES),
        min_consecutive_slices=1,
        scores=scores,
        input=InputSummary({"CTA2regA.nii.gz": "7" * 64}, (512, 512, 12), (0.45, 0.45, 0.625)),
        timings_ms=Timings(190.04, 150.0, 700.0, 1050.0),
        peak_rss_mib=121.3,
        threads=1,
        warnings=(),
        disclaimer="Not a medical device.",
    )


def test_json_satisfies_the_schema(result):
    schema("result-1").validate(result.to_json())
    schema("result-1").validate(result.to_json_with_slices())


def test_json_of_a_real_run_satisfies_the_schema(bundle_path, write_patient):
    from aminet_runtime.session import Session  # noqa: PLC0415

    with Session.open(bundle_path) as session:
        run = session.run(write_patient())

    schema("result-1").validate(json.loads(to_json_line(run.to_json_with_slices())))


@pytest.mark.parametrize("key", ["schema", "patient", "regions", "warnings", "disclaimer"])
def test_schema_notices_a_missing_key(result, key):
    values = result.to_json()
    del values[key]

    assert not schema("result-1").is_valid(values)


def test_json_keeps_affected_equal_to_the_comparison(result):
    """Also for a score that lies within float32's rounding of the threshold."""
    score = np.float32(0.3)
    scores = np.full((1, 15), score)
    just_above = float(np.nextafter(float(score), 1.0))
    thresholds = (float(score), just_above, *[0.9] * 13)
    findings = find_regions(scores, DecisionRule(thresholds, 1), names=NAMES)
    written = json.loads(to_json_line(replace(result, regions=findings).to_json()))

    assert [region["affected"] for region in written["regions"][:2]] == [True, False]
    for region in written["regions"]:
        assert region["affected"] == (region["probability"] >= region["threshold"])


def test_slices_are_in_the_json_only_on_demand(result):
    assert "slices" not in result.to_json()
    slices = result.to_json_with_slices()["slices"]

    assert slices["count"] == 12
    assert np.array_equal(np.array(slices["probabilities"], np.float32), result.scores)


def test_json_line_is_one_line_of_ascii(result):
    named = replace(result, disclaimer="nicht für Ärzte\n\u2028")

    line = to_json_line(named.to_json())

    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["disclaimer"] == named.disclaimer


def test_json_file_is_the_same_object(result):
    assert json.loads(to_json_file(result.to_json())) == json.loads(to_json_line(result.to_json()))
    assert to_json_file(result.to_json()).endswith(b"}\n")


def test_json_depends_on_nothing_but_its_values(result):
    again = replace(result, scores=result.scores.copy())

    assert to_json_file(again.to_json()) == to_json_file(result.to_json())


def test_error_has_a_schema_of_its_own():
    error = InputDamaged(
        "the gzip stream ends at slice 131 of 257",
        case=2,
        path="/scans/379/CTA2regA.nii.gz",
        hint="copy the file again",
    )

    values = error_to_json(error, patient="379")

    schema("error-1").validate(values)
    assert values["code"] == "E1102"
    assert values["exit_code"] == 11
    assert values["message"] == "CTA2regA.nii.gz: the gzip stream ends at slice 131 of 257"
    assert "/scans" not in json.dumps(values), "folders above the patient may name one"
    schema("error-1").validate(error_to_json(UsageError("wrong"), patient=None))


def all_errors(base=AminetError):
    for child in base.__subclasses__():
        yield child
        yield from all_errors(child)


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_class_can_be_told_as_json(kind):
    schema("error-1").validate(error_to_json(kind("it failed", case=99), patient="379"))


# --- text


def table_lines(result):
    text = format_result(result).splitlines()
    first = next(number for number, line in enumerate(text) if "finding" in line) + 1
    return text[first : first + 15]


def test_table_has_flagged_regions_on_top_then_those_not_assessed(result):
    lines = table_lines(result)

    assert [line.split()[0] for line in lines[:3]] == ["7", "3", "5"]
    assert all("FLAGGED" in line for line in lines[:2])
    assert "not assessed" in lines[2]
    assert all("not flagged" in line for line in lines[3:])


def test_table_shows_runs_of_slices_and_their_peak(result):
    assert "2-4, 8 (2)" in table_lines(result)[1]


def test_long_lists_of_slices_are_cut(result):
    scores = np.zeros((12, 15), np.float32)
    scores[::2, 0] = 0.9
    findings = find_regions(scores, DecisionRule((0.5,) * 15, 1), names=NAMES)

    assert "0, 2, 4, ... (0)" in format_result(replace(result, regions=findings))


def test_table_has_all_regions_and_counts_them(result):
    assert len(table_lines(result)) == 15
    assert "2 flagged, 12 not flagged, 1 not assessed" in format_result(result)


def test_text_never_calls_a_region_negative_or_clear(result):
    words = format_result(result).lower()

    assert not any(word in words for word in ("negative", "normal", "clear", "healthy", "no clot"))


def test_text_ends_with_the_disclaimer_and_wraps_it(result):
    long = replace(result, disclaimer="This is not a medical device. " * 10)
    lines = format_result(long).splitlines()

    assert all(len(line) <= 100 for line in lines)
    assert lines[-1].endswith("device.")


def test_warnings_are_in_the_text(result):
    warned = replace(result, warnings=(ResultWarning(WarningCode.UNUSUAL_SPACING, "coarse"),))

    assert "warning[W1201]: coarse" in format_result(warned)


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.4999999, "0.499"), (0.29, "0.290"), (1.0, "1.000")]
)
def test_shown_probability_does_not_reach_a_threshold_that_it_misses(result, probability, shown):
    finding = replace(result.regions[0], probability=probability, affected=False)

    text = format_result(replace(result, regions=(finding, *result.regions[1:])))

    assert next(line for line in text.splitlines() if "Territory A" in line).split()[5] == shown


def test_missing_memory_figure_is_left_out(result):
    assert "MiB" not in format_result(replace(result, peak_rss_mib=None))


def test_wide_names_keep_the_columns_aligned(result):
    names = ["右中大脳動脈", "x" * 60, "e\u0301e\u0301", *NAMES[3:]]
    findings = [replace(f, name=name) for f, name in zip(result.regions, names, strict=True)]

    lines = table_lines(replace(result, regions=tuple(findings)))

    columns = {width_of(line[: line.index("0.500")]) for line in lines if "0.500" in line}
    assert len(columns) == 1


def test_control_characters_in_names_do_not_reach_the_terminal(result):
    finding = replace(result.regions[0], name="\x1b[31mred\nline")

    text = format_result(replace(result, regions=(finding, *result.regions[1:])))

    assert "\x1b" not in text
    assert "\\x1b[31mred\\nline" in text


@given(st.text(max_size=60), st.integers(4, 40))
def test_cut_text_fits_and_short_text_stays(text, width):
    assert width_of(cut(text, width)) <= width
    if width_of(text) <= width:
        assert cut(text, width) == text


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=5))
def test_aligned_rows_keep_their_cells(rows):
    rows = [(printable(a).strip(), printable(b).strip()) for a, b in rows]

    for (left, right), line in zip(rows, align(rows), strict=True):
        assert line.startswith(left.rstrip())
        assert line.endswith(right)


@given(st.text())
def test_printable_text_is_one_line_that_can_be_encoded(text):
    shown = printable(text)

    assert shown.isprintable()
    shown.encode("utf-8")


def test_overview_names_patients_findings_and_errors(result):
    damaged = InputDamaged("the gzip stream is damaged", case=3, hint="copy the file again")
    outcomes = [
        PatientOutcome("379", result),
        PatientOutcome("380", replace(result, regions=(result.regions[0],))),
        PatientOutcome("381", damaged),
    ]

    lines = format_overview([overview_row(outcome) for outcome in outcomes]).splitlines()

    assert lines[1].split(maxsplit=1) == ["379", "flagged: Territory D, Territory H"]
    assert lines[2].split(maxsplit=1) == ["380", "flagged: none"]
    assert "error[E1103]: the gzip stream is damaged; copy the file again" in lines[3]
