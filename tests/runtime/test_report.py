# SPDX-License-Identifier: Apache-2.0
"""The page of a patient says what the result says, shows the right slices, and is safe to open."""

import base64
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aminet_runtime.batch import run_patient
from aminet_runtime.budget import Budget
from aminet_runtime.bundle import Bundle
from aminet_runtime.decision import DecisionRule, find_regions
from aminet_runtime.errors import InputUnsuitable
from aminet_runtime.patient import Channel
from aminet_runtime.report.contour import contour_path
from aminet_runtime.report.key_slices import MAX_PIXELS, KeySliceKeeper
from aminet_runtime.report.markup import element, join, tag
from aminet_runtime.report.page import refusal_page
from aminet_runtime.report.png import grey_png
from aminet_runtime.result import PatientResult
from aminet_runtime.result_place import ResultPlace
from aminet_runtime.session import Session, SliceScore

WHEN = "2026-05-04T10:11:12Z"
HOSTILE = "<img src=x onerror=alert(1)>&\"'"


@pytest.fixture
def write_report(build_bundle, tmp_path):
    """Run a patient with a bundle as the command does, and return the text of its page."""

    def write(folder, **recipe):
        place = ResultPlace(tmp_path / "results", to_json=PatientResult.to_json)
        with Session.open(build_bundle(**recipe), threads=1) as session:
            run_patient(session, folder, budget=Budget(), place=place)
        return place.path_for(folder).with_name("report.html").read_text(encoding="utf-8")

    return write


@pytest.fixture
def with_atlas(make_nifti, make_head):
    """Give a patient an atlas whose regions are the bands that the bundle of the tests looks at."""

    def write(folder, *, slices=slice(None)):
        _depth, _height, width = shape = make_head().shape
        atlas = np.broadcast_to(np.arange(width) * 15 // width, shape).astype(np.uint8)[slices]
        (folder / "ATLASMASKregA.nii").write_bytes(make_nifti(np.ascontiguousarray(atlas)))
        return folder

    return write


def words_of(page):
    """Return what a reader sees, and check that all elements are closed."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return " ".join(" ".join(reader.words).split())


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.words, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


# --- what it says ---


def test_flagged_regions_stand_on_top_with_their_pictures(write_report, write_patient, with_atlas):
    words = words_of(write_report(with_atlas(write_patient(affected=(4, 7)))))

    verdict = words.partition("Peak slices")[0]
    assert "2 of 15 regions flagged" in verdict
    assert "Territory E" in verdict
    assert "Territory H" in verdict
    assert "(threshold 0.500) slices 4-7" in verdict
    assert "Territory A" not in verdict
    assert words.count("FLAGGED, ") == 2
    assert "solid: the region in the patient's atlas" in words


def test_nothing_flagged_says_so_and_shows_what_came_nearest(write_report, write_patient):
    words = words_of(write_report(write_patient(affected=())))

    assert "No region flagged A region that is not flagged has not been shown to be free" in words
    assert "Nearest to their thresholds, not flagged" in words
    assert len(re.findall(r"not flagged, 0\.\d{3} \(threshold 0\.\d{3}\)", words)) == 3


@pytest.mark.parametrize("affected", [(), (4, 7)])
def test_no_page_calls_anything_negative(write_report, write_patient, affected):
    words = words_of(write_report(write_patient(affected=affected))).casefold()

    assert "negative" not in words
    assert "normal" not in words


def test_regions_that_were_not_assessed_are_named_before_the_pictures(write_report, write_patient):
    thresholds = (0.5, None, 0.5, None, *[0.5] * 11)
    words = words_of(write_report(write_patient(), thresholds=thresholds))

    assert "? Not assessed: Territory B, Territory D." in words.partition("Peak slices")[0]
    assert words.count("? not assessed") == 2


def test_of_many_regions_a_handful_is_shown_and_all_are_listed(write_report, write_patient):
    page = write_report(write_patient(), thresholds=(0.001,) * 15)
    words = words_of(page)

    assert page.count("<figure>") == 6
    flagged = int(re.search(r"(\d+) of 15 regions flagged", words)[1])
    assert f"{flagged - 6} more regions flagged; the table below lists all." in words


def test_says_what_was_read_and_with_what(write_report, write_patient):
    words = words_of(write_report(write_patient()))

    assert "CTA2regA.nii.gz" in words
    assert "60 x 60 x 12 voxels of 4 x 4 x 5 mm, 60 mm from lowest to highest" in words
    assert re.search(r"about [789] HU between neighbouring voxels", words), "made with 8"
    assert "bands-fp32: simple_cnn, fp32" in words
    assert "OpenVINO 20" in words
    assert "Made for tests. Not a medical device." in words


def test_says_once_that_it_is_no_medical_device(write_report, write_patient):
    words = words_of(write_report(write_patient()))

    assert words.casefold().count("not a medical device") == 1


def test_says_that_it_is_no_medical_device_where_the_bundle_does_not(write_report, write_patient):
    words = words_of(write_report(write_patient(), disclaimer="For research."))

    assert "For research." in words
    assert "AMI-Net is not a medical device." in words


def test_warnings_are_shown(write_report, write_patient):
    words = words_of(write_report(write_patient(), training_spacing_mm=(1.0, 1.0, 1.0)))

    assert "! W1201: the voxels are 4 x 4 x 5 mm" in words.partition("Peak slices")[0]
    assert "Warnings 1" in words


# --- the pictures ---


def test_outline_is_that_of_the_region_on_the_peak_slice(write_report, write_patient, with_atlas):
    page = write_report(with_atlas(write_patient(affected=(4,))))

    outline = re.search(r'<path d="M([^"]*)Z" class="outline">', page)[1]
    points = np.array([point.split(",") for point in outline.split()], float)
    assert (points[:, 0].min(), points[:, 0].max()) == (64.0, 80.0)  # columns 16..20 of 4 mm


@pytest.mark.parametrize(
    ("spoil", "remark"),
    [
        (lambda folder: (folder / "ATLASMASKregA.nii").unlink(), "The folder has no atlas"),
        (
            lambda folder: (folder / "ATLASMASKregA.nii").write_bytes(b"no scan"),
            "The regions are not outlined: ATLASMASKregA.nii: ",
        ),
    ],
    ids=["missing", "damaged"],
)
def test_atlas_that_cannot_be_used_is_told_and_ends_nothing(
    write_report, write_patient, with_atlas, spoil, remark
):
    folder = with_atlas(write_patient())
    spoil(folder)
    page = write_report(folder)

    assert remark in words_of(page)
    assert 'class="outline"' not in page
    assert 'class="evidence"' in page


def test_atlas_of_another_grid_is_not_drawn(write_report, write_patient, with_atlas):
    page = write_report(with_atlas(write_patient(), slices=slice(1, None)))

    assert "the grid is not that of CTA2regA.nii.gz" in words_of(page)
    assert 'class="outline"' not in page


def test_pictures_show_the_peak_slice_windowed(write_report, write_patient, make_head):
    page = write_report(write_patient(affected=(4,)))

    peak = int(re.search(r"CTA2regA, slice (\d+)", page)[1])
    shown = decoded(base64.b64decode(re.search(r"base64,([^\"]+)", page)[1]))
    hu = make_head(affected=(4,))[peak].astype(np.float32)
    expected = np.clip((hu + 100) * (255 / 600), 0, 255).astype(np.uint8)
    rows, columns = (expected > 0).any(axis=1), (expected > 0).any(axis=0)
    inside = expected[rows][:, columns]
    windows = np.lib.stride_tricks.sliding_window_view(shown, inside.shape)
    assert (windows == inside).all(axis=(2, 3)).any()


def decoded(png):
    """Read a grey PNG whose rows are all stored as differences to the row above."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = {}, 8
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        name, content = png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", png, position + 8 + length)
        assert checksum == zlib.crc32(name + content)
        chunks[name] = content
        position += 12 + length
    width, height, *form = struct.unpack(">2I5B", chunks[b"IHDR"])
    assert form == [8, 0, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_png_holds_the_picture(picture):
    np.testing.assert_array_equal(decoded(grey_png(picture)), picture)


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_contour_has_exactly_the_cells_of_the_mask_inside(mask):
    curves = [
        np.array([point.split(",") for point in curve.split()], float)
        for curve in re.findall(r"M([^Z]*)Z", contour_path(mask))
    ]
    inside = [
        [is_inside(curves, x + 0.5, y + 0.5001) for x in range(mask.shape[1])]
        for y in range(mask.shape[0])
    ]
    np.testing.assert_array_equal(inside, mask)


def is_inside(curves, x, y):
    """Count the crossings of a ray to the right: odd is inside."""
    crossings = 0
    for curve in curves:
        for (x0, y0), (x1, y1) in zip(curve, np.roll(curve, -1, axis=0), strict=True):
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                crossings += 1
    return crossings % 2 == 1


# --- the slices that are kept ---


@pytest.fixture(scope="module")
def metadata(build_bundle):
    return Bundle.open(build_bundle()).metadata


STEPS = st.integers(0, 4).map(lambda quarter: quarter / 4)


@settings(max_examples=200, deadline=None)
@given(
    scores=hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.just(15)), elements=STEPS),
    run=st.integers(1, 4),
    upward=st.booleans(),
)
def test_keeps_exactly_the_peak_slices_of_the_decision(metadata, scores, run, upward):
    rule = DecisionRule((None, *[0.5] * 14), run)
    keeper = KeySliceKeeper(replace(metadata, decision=rule))
    order = range(len(scores)) if upward else reversed(range(len(scores)))
    for index in order:
        evidence = np.full((15, 1, 1), index, np.float32)
        keeper.see(SliceScore(index, scores[index], evidence), np.full((1, 2, 2), index, "f4"))

    for finding in find_regions(scores, rule, names=metadata.regions.names):
        kept = keeper.for_finding(finding)
        if finding.affected is None:
            assert kept is None
        else:
            assert kept.index == finding.peak_slice
            assert kept.evidence[0, 0] == finding.peak_slice


def test_one_picture_is_shared_and_no_larger_than_a_screen(metadata):
    keeper = KeySliceKeeper(metadata)
    planes = np.zeros((1, 1300, 900), np.float32)
    for index in range(20):
        scores = np.full(15, 0.6 + index / 100, np.float32)
        keeper.see(SliceScore(index, scores, np.zeros((15, 2, 2), np.float32)), planes)

    findings = find_regions(np.full((20, 15), 0.6, np.float32), metadata.decision, names=["r"] * 15)
    pictures = [keeper.for_finding(finding).grey for finding in findings]
    assert len({id(picture) for picture in pictures}) == 1
    assert max(pictures[0].shape) <= MAX_PIXELS


def test_pictures_show_the_first_ct_channel_at_the_middle_of_the_window(metadata):
    contract = replace(metadata.input, channels=(Channel.SPIRAL, Channel.CTA1), window=3)
    keeper = KeySliceKeeper(replace(metadata, input=contract))
    planes = np.arange(6, dtype=np.float32).reshape(6, 1, 1) * 100 * np.ones((6, 4, 4), "f4")
    keeper.see(SliceScore(0, np.ones(15, np.float32), np.zeros((15, 1, 1), np.float32)), planes)

    finding = find_regions(np.ones((1, 15), np.float32), metadata.decision, names=["r"] * 15)[0]
    assert keeper.channel is Channel.CTA1
    assert keeper.for_finding(finding).grey[0, 0] == int(500 * 255 / 600)  # plane 4 holds 400 HU
    assert keeper.noise_hu is None  # no tissue to measure it in


def test_map_and_atlas_have_a_page_too(write_report, tmp_path, make_nifti, make_head, with_atlas):
    folder = tmp_path / "379"
    folder.mkdir()
    damage = np.clip(make_head(), 0, 1000).astype(np.int16)
    (folder / "SpiralregA.nii").write_bytes(make_nifti(damage, slope=0.001))
    channels = (Channel.SPIRAL, Channel.ATLAS)
    words = words_of(write_report(with_atlas(folder), channels=channels, thresholds=(0.9,) * 15))

    assert "SpiralregA, slice" in words
    assert "level" not in words
    assert "Noise not measured" in words


# --- trust ---


def test_markup_escapes_what_is_no_markup():
    assert tag("p", HOSTILE) == ("<p>&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#x27;</p>")
    assert element("a", {"title": HOSTILE}).count("<") == 2
    assert join("<", tag("b", "x" + tag("i"))) == "&lt;<b>x&lt;i&gt;&lt;/i&gt;</b>", (
        "markup that was glued to text is text again"
    )
    assert tag("p", "a\x1b[2J\u202e") == "<p>a\\x1b[2J\\u202e</p>"


def test_names_cannot_break_the_page(write_report, write_patient, with_atlas):
    names = tuple(f"{HOSTILE}{region}" for region in range(15))
    page = write_report(with_atlas(write_patient("<b>&\"'")), names=names)
    reader = _Reader()
    reader.feed(page)

    assert {name for name, _ in reader.tags}.isdisjoint({"img", "script", "a", "link", "iframe"})
    assert not any(key.startswith("on") for _, attributes in reader.tags for key in attributes)
    assert f"{HOSTILE}4" in words_of(page)
    assert "AMI-Net: CTA of patient <b>&\"'" in words_of(page)


def test_page_loads_nothing(write_report, write_patient):
    page = write_report(write_patient())

    assert "default-src &#x27;none&#x27;" in page
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page.partition("</style>")[0])
    sources = re.findall(r'(?:href|src)="([^"]{0,22})', page)
    assert {source.partition("-")[0] for source in sources} == {"data:image/png;base64,", "#slice"}


def test_two_runs_give_the_same_page_but_for_times(write_report, write_patient):
    folder = write_patient()
    first, second = (
        re.sub(r"made [^<]+|<dt>(Time|Memory)</dt><dd>[^<]+", "", write_report(folder))
        for _ in range(2)
    )
    assert first == second


# --- a patient without a result ---


def test_refusal_says_why_and_what_to_do():
    error = InputUnsuitable("no <head>", case=9, path="scans/CTA2regA.nii", hint="look again")
    words = words_of(refusal_page("379", error, created=WHEN).decode())

    assert "No result: the scan was not assessed CTA2regA.nii: no <head>." in words
    assert "What to do: look again. Error E1409" in words
    assert WHEN in words
    assert "flagged" not in words.partition("AMI-Net is not")[0]


def refuse(folder):
    (folder / "CTA2regA.nii.gz").write_bytes(b"no scan")


def test_refused_patient_gets_a_report_and_no_result(write_report, write_patient, tmp_path):
    folder = write_patient()
    refuse(folder)

    assert "No result" in words_of(write_report(folder))
    assert [path.name for path in (tmp_path / "results" / "379").iterdir()] == ["report.html"]


def test_refusal_replaces_the_report_and_keeps_the_result_of_an_earlier_run(
    write_report, write_patient, tmp_path
):
    folder = write_patient()
    write_report(folder)
    result = tmp_path / "results" / "379" / "result.json"
    before = result.read_bytes()
    refuse(folder)

    assert "A result.json beside this is of an earlier run" in words_of(write_report(folder))
    assert result.read_bytes() == before


def test_no_clobber_keeps_report_and_result(bundle_path, write_report, write_patient, tmp_path):
    folder = write_patient()
    page = write_report(folder)
    place = ResultPlace(tmp_path / "results", to_json=PatientResult.to_json, keeps_existing=True)
    refuse(folder)
    with Session.open(bundle_path, threads=1) as session:
        outcome = run_patient(session, folder, budget=Budget(), place=place)

    assert outcome.ending.exit_code == 31
    assert (tmp_path / "results" / "379" / "report.html").read_text(encoding="utf-8") == page


def test_report_is_not_imported_where_nothing_is_written(bundle_path, write_patient):
    code = (
        "import sys; from aminet_runtime.cli import main; assert main(sys.argv[1:]) == 0; "
        "assert not [name for name in sys.modules if name.startswith('aminet_runtime.report')]"
    )
    words = [sys.executable, "-c", code, str(write_patient()), "--bundle", str(bundle_path)]
    subprocess.run(words, check=True, capture_output=True)
