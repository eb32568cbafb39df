# SPDX-License-Identifier: Apache-2.0
"""Patients and streams of slices through a real bundle, whose answers are known."""

import gzip
import json
import shutil
import time

import numpy as np
import pytest

from aminet_runtime.budget import MIB, Budget
from aminet_runtime.bundle import Bundle, write_checksums
from aminet_runtime.errors import (
    BudgetExceeded,
    InputDamaged,
    InputInconsistent,
    InputMissing,
    InputUnsuitable,
    ModelInvalid,
    UsageError,
)
from aminet_runtime.patient import Channel, PatientFolder
from aminet_runtime.regions import REGION_COUNT
from aminet_runtime.result import WarningCode
from aminet_runtime.session import Session
from aminet_runtime.track_record import scan_fingerprint

SUM_IN_FLOAT32 = 2e-6
"""Averages of 60 x 4 float32 values between 0 and 1: some units in the last place."""

SPACING_MM = (4.0, 4.0, 5.0)


@pytest.fixture
def session(bundle_path):
    with Session.open(bundle_path, threads=1) as opened:
        yield opened


def codes(result):
    return [warning.code for warning in result.warnings]


def indices(findings):
    return [finding.index for finding in findings]


def expected_scores(volumes, probabilities, window=1, step=1):
    """Compute the scores of volumes [channel][Z, H, W] with plain loops."""
    depth = len(volumes[0])
    half = window // 2
    rows = []
    for z in range(depth):
        near = [min(max(z + k * step, 0), depth - 1) for k in range(-half, half + 1)]
        planes = np.array([volume[n] for volume in volumes for n in near], np.float32)
        rows.append(probabilities(planes))
    return np.array(rows)


def test_finds_the_regions_that_were_filled(session, write_patient):
    result = session.run(write_patient(affected=(4, 7)))

    assert indices(result.affected) == [4, 7]
    assert result.regions[4].slices == (4, 5, 6, 7)
    assert result.regions[4].name == "Territory E"
    assert result.patient == "379"
    assert result.warnings == ()


def test_finds_nothing_where_nothing_was_filled(session, write_patient):
    assert session.run(write_patient(affected=())).affected == ()


def test_scores_are_what_the_network_was_built_to_answer(
    session, write_patient, make_head, expected_probabilities
):
    result = session.run(write_patient(affected=(4, 7)))

    expected = expected_scores([make_head(affected=(4, 7))], expected_probabilities)
    np.testing.assert_allclose(result.scores, expected, atol=SUM_IN_FLOAT32)


def test_result_says_what_was_read_and_with_what(session, write_patient):
    folder = write_patient()

    result = session.run(folder)

    assert result.input.shape == (60, 60, 12)
    assert result.input.spacing_mm == SPACING_MM
    assert list(result.input.files) == ["CTA2regA.nii.gz"]
    assert result.model.bundle == "bands-fp32"
    assert result.model.id == session.bundle.metadata.model_id
    assert result.model.engine.startswith("OpenVINO 20")
    assert result.threads == 1
    assert result.disclaimer == session.bundle.metadata.disclaimer


def test_hash_in_the_result_is_that_of_the_file(session, write_patient):
    folder = write_patient()

    result = session.run(folder)

    path = folder / "CTA2regA.nii.gz"
    assert result.input.files[path.name] == hash_of(path)


def hash_of(path):
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_patient_folder_is_not_written_to(session, write_patient):
    folder = write_patient()
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    folder.chmod(0o500)

    session.run(folder)

    folder.chmod(0o700)
    assert before == {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()
    }


def test_two_runs_give_the_same_result(session, write_patient):
    folder = write_patient()
    first, second = session.run(folder), session.run(PatientFolder.open(folder))

    assert np.array_equal(first.scores, second.scores)
    assert first.regions == second.regions
    assert first.input == second.input


def test_scan_stored_upside_down_gives_the_same_findings(session, write_patient):
    upright = session.run(write_patient("upright"))
    inverted = session.run(write_patient("inverted", upside_down=(Channel.CTA2,)))

    assert np.array_equal(upright.scores, inverted.scores)
    assert upright.regions == inverted.regions


def test_plain_file_gives_the_same_findings_as_a_gzipped_one(session, write_patient):
    packed, plain = write_patient("packed"), write_patient("plain")
    source = plain / "CTA2regA.nii.gz"
    (plain / "CTA2regA.nii").write_bytes(gzip.decompress(source.read_bytes()))
    source.unlink()

    assert np.array_equal(session.run(packed).scores, session.run(plain).scores)


THREE = (Channel.CTA1, Channel.CTA2, Channel.CTA3)


@pytest.mark.parametrize("upside_down", [(), (Channel.CTA2,), THREE])
def test_channels_are_read_in_step_and_in_the_bundles_order(
    build_bundle, write_patient, make_head, expected_probabilities, upside_down
):
    bundle = build_bundle(channels=THREE)
    folder = write_patient(channels=THREE, upside_down=upside_down)
    volumes = [make_head(affected=(4, 7), seed=number) for number in range(3)]

    with Session.open(bundle, threads=1) as session:
        result = session.run(folder)

    expected = expected_scores(volumes, expected_probabilities)
    np.testing.assert_allclose(result.scores, expected, atol=SUM_IN_FLOAT32)
    assert len(result.input.files) == 3


def test_order_of_channels_is_that_of_the_metadata(build_bundle, write_patient):
    folder = write_patient(channels=THREE)
    scores = []
    for channels in (THREE, THREE[::-1]):
        with Session.open(build_bundle(channels=channels), threads=1) as session:
            scores.append(session.run(folder).scores)

    assert not np.allclose(scores[0], scores[1], atol=SUM_IN_FLOAT32)


@pytest.mark.parametrize("late_fusion", [False, True])
@pytest.mark.parametrize("upside_down", [(), (Channel.CTA2,)])
@pytest.mark.parametrize(("spacing_mm", "step"), [(None, 1), (10.0, 2), (1.0, 1), (300.0, 60)])
def test_window_shows_the_neighbours_at_their_distance(
    build_bundle,
    write_patient,
    make_head,
    expected_probabilities,
    upside_down,
    spacing_mm,
    step,
    late_fusion,
):
    bundle = build_bundle(window=3, window_spacing_mm=spacing_mm, late_fusion=late_fusion)
    folder = write_patient(upside_down=upside_down)

    with Session.open(bundle, threads=1) as session:
        result = session.run(folder)

    expected = expected_scores(
        [make_head(affected=(4, 7))], expected_probabilities, window=3, step=step
    )
    np.testing.assert_allclose(result.scores, expected, atol=SUM_IN_FLOAT32)


def test_spiral_map_of_probabilities_is_taken(build_bundle, tmp_path, make_nifti, make_head):
    folder = tmp_path / "379"
    folder.mkdir()
    stored = np.clip(make_head(), 0, 1000).astype(np.int16)
    (folder / "SpiralregA.nii").write_bytes(make_nifti(stored, slope=0.001))

    with Session.open(build_bundle(channels=(Channel.SPIRAL,)), threads=1) as session:
        result = session.run(folder)

    assert 0.0 < result.scores.max() <= 1.0 / 400.0


def test_spiral_map_without_its_slope_is_refused(build_bundle, tmp_path, make_nifti, make_head):
    folder = tmp_path / "379"
    folder.mkdir()
    (folder / "SpiralregA.nii").write_bytes(make_nifti(np.clip(make_head(), 0, 1000)))

    with (
        Session.open(build_bundle(channels=(Channel.SPIRAL,)), threads=1) as session,
        pytest.raises(InputUnsuitable, match="from 0 to 900, probabilities are 0 to 1"),
    ):
        session.run(folder)


MAP_AND_ATLAS = (Channel.SPIRAL, Channel.ATLAS)


@pytest.fixture
def write_map_and_atlas(tmp_path, make_nifti, make_head):
    """Write a patient without a CTA: a SPIRAL map, and an atlas of 15 bands of columns."""

    def write(atlas=None, *, atlas_slope=1.0, spacing_mm=(4.0, 4.0, 5.0)):
        folder = tmp_path / "379"
        folder.mkdir()
        damage = np.clip(make_head(), 0, 1000).astype(np.int16)
        spiral = make_nifti(damage, slope=0.001, spacing_mm=spacing_mm)
        (folder / "SpiralregA.nii").write_bytes(spiral)
        labels = bands_atlas(damage.shape) if atlas is None else atlas
        stored = make_nifti(labels, slope=atlas_slope, spacing_mm=spacing_mm)
        (folder / "ATLASMASKregA.nii").write_bytes(stored)
        return folder

    return write


def bands_atlas(shape):
    columns = np.arange(shape[2]) * REGION_COUNT // shape[2]
    return np.broadcast_to(columns, shape).astype(np.uint8)


def test_map_and_atlas_are_run_without_any_ct(
    build_bundle, write_map_and_atlas, make_head, expected_probabilities
):
    folder = write_map_and_atlas()
    with Session.open(build_bundle(channels=MAP_AND_ATLAS), threads=1) as session:
        result = session.run(folder)

    damage = np.clip(make_head(), 0, 1000) * 0.001
    expected = expected_scores([damage, bands_atlas(damage.shape)], expected_probabilities)
    np.testing.assert_allclose(result.scores, expected, atol=SUM_IN_FLOAT32)
    assert list(result.input.files) == ["SpiralregA.nii", "ATLASMASKregA.nii"]


def test_labels_of_the_atlas_reach_the_network_as_they_are(build_bundle, write_map_and_atlas):
    folder = write_map_and_atlas()
    with Session.open(build_bundle(channels=MAP_AND_ATLAS[::-1]), threads=1) as session:
        result = session.run(folder)

    weight_of_the_atlas = 0.7  # of the first plane
    from_atlas = weight_of_the_atlas * np.arange(REGION_COUNT) / 400.0
    assert (result.scores[0] >= from_atlas - SUM_IN_FLOAT32).all()
    assert (result.scores[0] <= from_atlas + 0.3 / 400.0).all()


@pytest.mark.parametrize(
    ("wrong", "slope", "values"),
    [
        (15, 1.0, "from 0 to 15"),
        (-1, 1.0, "from -1 to 14"),
        (1, 0.5, "from 0 to 7"),  # a half: resampled by interpolation
    ],
    ids=["beyond the regions", "below 0", "between two regions"],
)
def test_atlas_with_values_that_are_no_regions_is_refused(
    build_bundle, write_map_and_atlas, make_head, wrong, slope, values
):
    atlas = bands_atlas(make_head().shape).astype(np.int16)
    atlas[5, 30, 30] = wrong
    folder = write_map_and_atlas(atlas, atlas_slope=slope)

    with (
        Session.open(build_bundle(channels=MAP_AND_ATLAS), threads=1) as session,
        pytest.raises(InputInconsistent, match=values) as refusal,
    ):
        session.run(folder)

    assert refusal.value.code == "E1326"
    assert str(refusal.value).startswith("ATLASMASKregA.nii: the atlas has values")


def test_missing_atlas_is_named(build_bundle, write_map_and_atlas):
    folder = write_map_and_atlas()
    (folder / "ATLASMASKregA.nii").unlink()

    with (
        Session.open(build_bundle(channels=MAP_AND_ATLAS), threads=1) as session,
        pytest.raises(InputMissing, match=r"ATLASMASKregA\.nii\.gz or") as refusal,
    ):
        session.run(folder)

    assert refusal.value.exit_code == 10


def test_atlas_must_share_the_grid(build_bundle, write_patient, make_nifti, make_head):
    bundle = build_bundle(channels=(Channel.CTA2, Channel.ATLAS))
    folder = write_patient()
    atlas = bands_atlas(make_head().shape)[1:]
    (folder / "ATLASMASKregA.nii").write_bytes(make_nifti(atlas))

    with (
        Session.open(bundle, threads=1) as session,
        pytest.raises(InputInconsistent, match=r"grid is not that of CTA2regA\.nii\.gz"),
    ):
        session.run(folder)


def test_map_and_atlas_of_no_head_are_refused_by_their_size(build_bundle, write_map_and_atlas):
    folder = write_map_and_atlas(spacing_mm=(8.0, 8.0, 5.0))

    with (
        Session.open(build_bundle(channels=MAP_AND_ATLAS), threads=1) as session,
        pytest.raises(InputUnsuitable, match="field of view is 480 x 480 mm") as refusal,
    ):
        session.run(folder)

    assert refusal.value.code == "E1401"


def test_network_is_compiled_once_for_patients_of_one_size(session, write_patient, monkeypatch):
    compiled = []
    compile_network = session._engine.compile

    def counting(*, height, width):
        compiled.append((height, width))
        return compile_network(height=height, width=width)

    monkeypatch.setattr(session._engine, "compile", counting)

    for name in ("a", "b"):
        session.run(write_patient(name))
    list(session.stream([np.zeros((1, 30, 45), np.float32)]))
    session.run(write_patient("c"))

    assert compiled == [(60, 60), (30, 45), (60, 60)]


def test_start_is_counted_for_the_first_patient_only(bundle_path, write_patient):
    with Session.open(bundle_path, started=time.perf_counter() - 2.0) as session:
        first = session.run(write_patient("a")).timings_ms
        second = session.run(write_patient("b")).timings_ms

    assert first.start > 2000.0
    assert first.total > first.start + first.compile + first.stream
    assert second.start == 0.0
    assert second.compile < 1.0
    assert second.total < 2000.0


def test_start_of_the_process_is_for_the_timings_and_not_for_the_limit(bundle_path, write_patient):
    with Session.open(bundle_path, started=time.perf_counter() - 60.0) as session:
        result = session.run(write_patient(), budget=Budget(time_limit_s=30.0))

    assert result.timings_ms.start > 60_000.0


def test_opening_counts_against_the_limit_of_the_first_patient(bundle_path, write_patient):
    with Session.open(bundle_path) as session:
        session._opening_s = 60.0
        with pytest.raises(BudgetExceeded):
            session.run(write_patient("a"), budget=Budget(time_limit_s=30.0))
        session.run(write_patient("b"), budget=Budget(time_limit_s=30.0))


def test_idle_session_does_not_use_up_the_time_of_its_first_patient(bundle_path, write_patient):
    with Session.open(bundle_path) as session:
        time.sleep(0.6)
        result = session.run(write_patient(), budget=Budget(time_limit_s=10.0))

    assert result.timings_ms.total < 600.0


def test_progress_counts_all_slices(session, write_patient):
    seen = []

    session.run(write_patient(), on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(done, 12) for done in range(1, 13)]


# --- what is refused, and that nothing comes out then


def test_missing_channel_is_named(session, tmp_path, make_nifti, make_head):
    (tmp_path / "CTA1.nii").write_bytes(make_nifti(make_head()))

    with pytest.raises(InputMissing, match="CTA2regA"):
        session.run(tmp_path)


def test_file_that_is_cut_gives_no_result(session, write_patient):
    path = write_patient() / "CTA2regA.nii.gz"
    path.write_bytes(path.read_bytes()[:-4])

    with pytest.raises(InputDamaged):
        session.run(path.parent)


def test_channels_of_different_grids_are_refused(
    build_bundle, write_patient, make_nifti, make_head
):
    folder = write_patient(channels=(Channel.CTA1, Channel.CTA2))
    other = make_nifti(make_head()[:-1])
    (folder / "CTA2regA.nii.gz").write_bytes(gzip.compress(other))

    with (
        Session.open(build_bundle(channels=(Channel.CTA1, Channel.CTA2))) as session,
        pytest.raises(InputInconsistent, match="the grid is not that of"),
    ):
        session.run(folder)


def test_each_ct_channel_must_show_a_head(build_bundle, write_patient, make_nifti):
    folder = write_patient(channels=(Channel.CTA1, Channel.CTA2))
    water = make_nifti(np.full((12, 60, 60), 40, np.int16))
    (folder / "CTA2regA.nii.gz").write_bytes(gzip.compress(water))

    with (
        Session.open(build_bundle(channels=(Channel.CTA1, Channel.CTA2))) as session,
        pytest.raises(InputUnsuitable) as caught,
    ):
        session.run(folder)

    assert caught.value.path.name == "CTA2regA.nii.gz"


def test_session_goes_on_after_an_error(session, write_patient):
    damaged = write_patient("damaged") / "CTA2regA.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(InputDamaged):
        session.run(damaged.parent)

    assert indices(session.run(write_patient("good")).affected) == [4, 7]


def test_files_are_closed_after_a_run_and_after_an_error(session, write_patient):
    opened = write_patient("good")
    damaged = write_patient("damaged") / "CTA2regA.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(InputDamaged):
        session.run(damaged.parent)
    session.run(opened)

    # an unclosed file would warn, and warnings are errors here
    import gc  # noqa: PLC0415

    gc.collect()


def test_time_limit_ends_the_run(session, write_patient):
    with pytest.raises(BudgetExceeded, match="time limit of 1e-06 s") as caught:
        session.run(write_patient(), budget=Budget(time_limit_s=1e-6))

    assert caught.value.exit_code == 40


def test_memory_limit_ends_the_run_before_it_compiles(session, write_patient, monkeypatch):
    monkeypatch.setattr(session._engine, "compile", None)

    with pytest.raises(BudgetExceeded, match="MiB are needed, the memory limit is 64 MiB"):
        session.run(write_patient(), budget=Budget(memory_limit_bytes=64 * MIB))


def test_memory_that_grows_beyond_the_limit_ends_the_run(session, write_patient, monkeypatch):
    monkeypatch.setattr("aminet_runtime.supervisor.SLICES_BETWEEN_MEMORY_CHECKS", 2)
    monkeypatch.setattr("aminet_runtime.budget.Budget.require_memory", lambda *_: None)

    with pytest.raises(BudgetExceeded, match="MiB are in use"):
        session.run(write_patient(), budget=Budget(memory_limit_bytes=MIB))


@pytest.mark.parametrize("threads", [0, -1, 1025, 2**40])
def test_refuses_to_open_without_threads_or_with_absurdly_many(bundle_path, threads):
    with pytest.raises(UsageError, match="threads cannot run anything"):
        Session.open(bundle_path, threads=threads)


def test_closed_session_says_so(bundle_path, write_patient):
    session = Session.open(bundle_path)
    session.close()

    with pytest.raises(ValueError, match="the session is closed"):
        session.run(write_patient())


# --- remarks


def test_remarks_on_voxels_that_are_unlike_the_training_data(build_bundle, write_patient):
    with Session.open(build_bundle(training_spacing_mm=(4.0, 4.0, 0.625))) as session:
        result = session.run(write_patient())

    assert codes(result) == [WarningCode.UNUSUAL_SPACING]
    assert "4 x 4 x 5 mm" in result.warnings[0].message


def cohort_names(folder, names):
    (folder.parent / "regions.json").write_text(json.dumps({"names": names}))


def test_remarks_on_a_cohort_with_other_region_names(session, write_patient):
    folder = write_patient()
    names = list(session.bundle.metadata.regions.names)
    cohort_names(folder, names)
    assert session.run(folder).warnings == ()

    cohort_names(folder, [*names[:-1], "Another"])
    result = session.run(folder)

    assert codes(result) == [WarningCode.REGION_NAMES_DIFFER]
    assert "names 1 of 15 regions otherwise" in result.warnings[0].message
    assert result.regions[14].name == "Territory O"


def test_remarks_on_region_names_that_cannot_be_read(session, write_patient):
    folder = write_patient()
    (folder.parent / "regions.json").write_text("garbage")

    assert codes(session.run(folder)) == [WarningCode.REGION_NAMES_DIFFER]


def test_remarks_on_regions_that_the_network_does_not_see(
    build_bundle, write_map_and_atlas, make_head
):
    """The atlas of the tests has a band of columns for each region, the first in the corners."""
    atlas = bands_atlas(make_head().shape)
    atlas[:, :, -1] = 0  # so that the last band lies beside the corner, too
    recipe = {"channels": MAP_AND_ATLAS, "margin_px": (0, atlas.shape[2] // 6)}
    with Session.open(build_bundle(**recipe), threads=1) as session:
        result = session.run(write_map_and_atlas(atlas))

    assert codes(result) == [WarningCode.OUT_OF_VIEW]
    message = result.warnings[0].message
    assert "of Territory B, " in message
    assert "Territory O lies outside of the middle" in message
    assert "Territory H" not in message


def test_remarks_on_a_patient_of_the_training(build_bundle, write_patient):
    folder = write_patient()
    fingerprint = scan_fingerprint([hash_of(folder / "CTA2regA.nii.gz")])

    with Session.open(build_bundle(training=(fingerprint,))) as session:
        result = session.run(folder)

    assert codes(result) == [WarningCode.NOT_INDEPENDENT]
    assert "one of the bundle's training patients" in result.warnings[0].message


def test_remarks_on_arithmetic_of_the_users_choice(session, write_patient, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")

    assert codes(session.run(write_patient())) == [WarningCode.ARITHMETIC_NOT_CAPPED]


# --- streams


def test_stream_scores_slices_as_they_come(session, make_head, expected_probabilities):
    volume = make_head(affected=(2,)).astype(np.float32)
    asked = []

    def arriving():
        for index, plane in enumerate(volume):
            asked.append(index)
            yield plane[np.newaxis]

    for score in session.stream(arriving()):
        assert asked[-1] == score.index, "a slice is not asked for before the one before it is done"
        expected = expected_probabilities(volume[score.index][np.newaxis])
        np.testing.assert_allclose(score.probabilities, expected, atol=SUM_IN_FLOAT32)
        assert score.evidence.shape == (15, 4, 4)
    assert asked == list(range(12))


def test_stream_takes_one_array_that_is_filled_again_and_again(session, make_head):
    volume = make_head(affected=(2,)).astype(np.float32)
    one = np.empty((1, 60, 60), np.float32)

    def refilled():
        for plane in volume:
            one[0] = plane
            yield one

    reused = [score.probabilities for score in session.stream(refilled())]
    fresh = [score.probabilities for score in session.stream(volume[:, np.newaxis])]
    assert np.array_equal(reused, fresh)


def test_stream_agrees_with_run(session, write_patient, make_head):
    result = session.run(write_patient(affected=(4, 7)))
    volume = make_head(affected=(4, 7))

    streamed = [score.probabilities for score in session.stream(volume[:, np.newaxis])]

    assert np.array_equal(streamed, result.scores)


def test_streams_of_one_session_may_be_consumed_in_turns(session, make_head):
    volumes = [make_head(affected=(region,)).astype(np.float32) for region in (2, 9)]
    alone = [[s.probabilities for s in session.stream(v[:, np.newaxis])] for v in volumes]

    first, second = (session.stream(volume[:, np.newaxis]) for volume in volumes)
    in_turns = [(a.probabilities, b.probabilities) for a, b in zip(first, second, strict=True)]

    assert np.array_equal(list(zip(*alone, strict=True)), in_turns)


def test_stream_of_a_window_needs_the_spacing_of_the_slices(build_bundle, make_head):
    volume = make_head()[:, np.newaxis].astype(np.float32)
    with Session.open(build_bundle(window=3, window_spacing_mm=10.0)) as session:
        with pytest.raises(ValueError, match="slice_spacing_mm is needed"):
            list(session.stream(volume))

        assert len(list(session.stream(volume, slice_spacing_mm=5.0))) == 12


def test_stream_of_nothing_scores_nothing(session):
    assert list(session.stream([])) == []


@pytest.mark.parametrize("shape", [(60, 60), (2, 60, 60), (1, 0, 60), (1, 1, 60, 60)])
def test_stream_refuses_slices_of_a_wrong_shape(session, shape):
    with pytest.raises(ValueError, match=r"\[1, H, W\] is needed"):
        list(session.stream([np.zeros(shape, np.float32)]))


def test_stream_refuses_slices_that_change_their_shape(session):
    slices = [np.zeros((1, 60, 60), np.float32), np.zeros((1, 60, 61), np.float32)]

    with pytest.raises(ValueError, match="slice 1 has shape"):
        list(session.stream(slices))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_stream_refuses_values_that_are_not_finite(session, value):
    bad = np.zeros((1, 60, 60), np.float32)
    bad[0, 30, 30] = value

    with pytest.raises(InputUnsuitable, match="slice 1 holds values that are not finite"):
        list(session.stream([np.zeros_like(bad), bad]))


def test_answer_takes_the_planes_of_a_window(build_bundle, expected_probabilities):
    planes = np.random.default_rng(0).uniform(-100, 500, (3, 60, 60)).astype(np.float32)

    with Session.open(build_bundle(window=3)) as session:
        answer = session.answer(planes)

    expected = expected_probabilities(planes)
    np.testing.assert_allclose(answer.probabilities, expected, atol=SUM_IN_FLOAT32)


def test_settings_can_be_read_once_the_network_is_compiled(session):
    assert session.engine_settings == {}

    session.answer(np.zeros((1, 60, 60), np.float32))

    assert session.engine_settings["NUM_STREAMS"] == "1"


def test_opens_a_bundle_that_is_open_already(bundle_path):
    bundle = Bundle.open(bundle_path)

    with Session.open(bundle) as session:
        assert session.bundle is bundle


def test_published_network_that_cannot_be_parsed_is_invalid(bundle_path, tmp_path):
    """The checksums agree, so this is not a matter of trust."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_path, folder)
    (folder / "model.xml").write_bytes(b"garbage")
    values = json.loads((folder / "metadata.json").read_bytes())
    from aminet_runtime.bundle import model_id  # noqa: PLC0415

    values["id"] = model_id(b"garbage", (folder / "model.bin").read_bytes())
    (folder / "metadata.json").write_text(json.dumps(values))
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)

    with pytest.raises(ModelInvalid, match="OpenVINO cannot read"):
        Session.open(folder)
