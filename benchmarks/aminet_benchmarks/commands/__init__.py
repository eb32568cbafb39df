# SPDX-License-Identifier: Apache-2.0
"""The verbs of `aminet-benchmark`, one a module: parse, call, print.

options  what several verbs ask for
run      one patient, cold and warm, stage by stage
compare  beside other ways, interleaved
scaling  time and memory against the size of the task
gate     against limits; exit code 23
selftest the gate on builds that are worse on purpose
untrained  a bundle for speed alone
conformance  write a conformance kit, or check a port with one
reference  the source report's study on phantoms
data     loader and preparation

A verb is a function `main(argv) -> exit code`, entered with its one-line summary in `cli.VERBS`.
"""
