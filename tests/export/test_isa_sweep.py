# SPDX-License-Identifier: Apache-2.0
import subprocess

import numpy as np
import pytest

from aminet_export import isa_sweep
from aminet_export.accuracy import Decided
from aminet_export.isa_sweep import (
    ISA_FLAGS,
    available_isas,
    played_by_process,
    require_same_answers,
    sweep,
    sweep_table,
)
from aminet_runtime.errors import GateFailed, ModelIncompatible
from aminet_train.thresholds import ChosenRule

RULE = ChosenRule((0.5,) * 15, 0.5, 2)


@pytest.fixture
def reference():
    generator = np.random.default_rng(0)
    return Decided([generator.random((8, 15), dtype=np.float32) for _ in range(2)], RULE)


def playing(reference, change):
    """Stand in for the processes: `change` alters what one instruction set answers."""

    def play(isa):
        return [change(isa, scores.copy()) for scores in reference.scores]

    return play


def test_identical_answers_pass(reference):
    swept = sweep(reference, playing(reference, lambda _isa, s: s), isas=["AVX2", "AVX512_CORE"])

    require_same_answers(swept)

    assert [row.max_difference for row in swept.rows] == [0, 0]
    assert swept.missing == ("SSE41", "AVX", "AVX2_VNNI", "AVX512_CORE_VNNI", "AVX512_CORE_AMX")
    assert swept.slices == 16
    assert "| AVX2 | 0, bit-identical | 0 | 0 |" in sweep_table(swept)
    assert "| AVX512_CORE_AMX | not on the exporting machine | | |" in sweep_table(swept)


def test_one_changed_decision_forbids_publication(reference):
    reference.scores[0][3, 4] = 0.5001

    def change(_isa, scores):
        return np.where(scores == np.float32(0.5001), np.float32(0.4999), scores)

    swept = sweep(reference, playing(reference, change), isas=["AVX2"])

    assert swept.rows[0].slice_decisions_changed == 1
    assert swept.rows[0].max_difference < 0.001
    with pytest.raises(GateFailed, match="under AVX2 1 slice and 1 patient decisions change"):
        require_same_answers(swept)


def test_a_large_difference_forbids_publication_without_a_changed_decision(reference):
    def change(_isa, scores):
        return np.where(scores < 0.4, scores + np.float32(0.03), scores)

    swept = sweep(reference, playing(reference, change), isas=["AVX2_VNNI"])

    assert swept.rows[0].slice_decisions_changed == 0
    with pytest.raises(GateFailed, match=r"under AVX2_VNNI 0 slice and 0 .* up to 0\.03"):
        require_same_answers(swept)


def test_answers_that_are_no_numbers_forbid_publication(reference):
    swept = sweep(reference, playing(reference, lambda _i, s: s * np.nan), isas=["AVX2"])

    with pytest.raises(GateFailed):
        require_same_answers(swept)


def test_amx_is_shown_but_the_runtime_is_capped_below_it(reference):
    def change(_isa, scores):
        return 1 - scores

    swept = sweep(reference, playing(reference, change), isas=["AVX512_CORE_AMX"])

    require_same_answers(swept)
    assert swept.rows[0].slice_decisions_changed > 0


def test_what_is_older_than_avx2_is_shown_and_judges_nothing(reference):
    def play(isa):
        if isa == "SSE41":
            raise ModelIncompatible("bad combination")
        return [1 - scores for scores in reference.scores]

    swept = sweep(reference, play, isas=["SSE41", "AVX"])

    require_same_answers(swept)
    assert [row.isa for row in swept.rows] == ["AVX"]
    assert "| SSE41 | OpenVINO does not compile it | | |" in sweep_table(swept)
    assert swept.to_json()["does_not_compile"] == ["SSE41"]


def test_a_set_that_the_runtime_may_run_under_has_to_run(reference):
    def play(_isa):
        raise ModelIncompatible("no kernel")

    with pytest.raises(ModelIncompatible, match="no kernel"):
        sweep(reference, play, isas=["AVX2"])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", ()),
        ("fpu sse2", ()),
        ("fpu sse4_1 avx", ("SSE41", "AVX")),
        ("fpu avx2 avx_vnni", ("AVX2", "AVX2_VNNI")),
        ("avx2 avx512f avx512bw avx512vl avx512dq", ("AVX2", "AVX512_CORE")),
        (
            "avx2 avx512f avx512bw avx512vl avx512dq avx512_vnni avx512_bf16 amx_tile amx_int8",
            ("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_AMX"),
        ),
    ],
)
def test_knows_what_a_cpu_can_play(monkeypatch, flags, expected):
    monkeypatch.setattr(isa_sweep, "cpu_flags", lambda: frozenset(flags.split()))

    assert available_isas() == expected


def test_names_the_instruction_set_whose_process_fails(monkeypatch, tmp_path):
    def fail(command, *, env, **_options):
        assert env["ONEDNN_MAX_CPU_ISA"] in ISA_FLAGS
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nRuntimeError: no kernel")

    monkeypatch.setattr(subprocess, "run", fail)
    play = played_by_process(tmp_path, [np.zeros((1, 1, 4, 4), np.float32)])

    with pytest.raises(ModelIncompatible, match=r"under AVX2 \(RuntimeError: no kernel\)"):
        play("AVX2")
