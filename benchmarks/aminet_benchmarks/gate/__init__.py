# SPDX-License-Identifier: Apache-2.0
"""The gate: is this build fast enough, small enough, and are its answers still the same?

limits        what is allowed, from a TOML file; `limits.toml` is the default
sampling      ratios of paired runs, and how sure they are
stretched     the same patient with more or fewer slices
measurements  what is measured, in one go
selftest      a program: the bundle's known answers, in a fresh process
held_out      F1 of float and INT8 on patients with known truth
checks        measurements against limits, and the table
faults        builds that are worse on purpose
trial         the gate on these: does it stop each for its own reason?
"""
