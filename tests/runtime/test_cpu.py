# SPDX-License-Identifier: Apache-2.0
import platform

import pytest

from aminet_runtime import cpu

CPUINFO = """\
processor\t: 0
model name\t: Intel(R) Celeron(R) J4125 CPU: 2.00GHz
flags\t\t: fpu sse4_2 avx2
vmx flags\t: vnmi

processor\t: 1
model name\t: another
flags\t\t: fpu
"""


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "_CPUINFO", path)
    monkeypatch.delenv("PROCESSOR_IDENTIFIER", raising=False)
    return path


def test_tells_name_and_flags_of_the_first_processor(cpuinfo):
    cpuinfo.write_text(CPUINFO)

    assert cpu.cpu_name() == "Intel(R) Celeron(R) J4125 CPU: 2.00GHz"
    assert cpu.cpu_flags() == {"fpu", "sse4_2", "avx2"}


def test_names_the_architecture_where_the_system_does_not_say(cpuinfo):
    assert not cpuinfo.exists()
    assert cpu.cpu_name() == platform.machine()
    assert cpu.cpu_flags() == frozenset()


def test_names_the_processor_as_windows_does(cpuinfo, monkeypatch):
    monkeypatch.setenv("PROCESSOR_IDENTIFIER", "Intel64 Family 6 Model 122")

    assert not cpuinfo.exists()
    assert cpu.cpu_name() == "Intel64 Family 6 Model 122"
