# SPDX-License-Identifier: Apache-2.0
"""Programs that put AMI-Net to the test: phantom patients, speed, memory and quality gates.

measure       time and memory of whole commands, in turn
machine       what a figure was measured on; playing an older machine
alternatives  other ways to answer, each a program
usual_phantom what is measured where no patient is named
ways, twins   their command lines, and the networks that they run
floor         what reading and computing take if nothing else is done
compare       `aminet-run` beside them, with the answers
scaling       time and memory against the size of the task
untrained, speed_bundle
              networks and bundles with random weights, for speed alone
gate          limits on time, memory and answers
reference     the source report's study on phantoms
plots         time against memory
staged_run    a program: where the time of a patient goes
data_speed    how fast training data are prepared and loaded
commands, cli `aminet-benchmark`; verbs: what its first word may be
conformance   what a host of a bundle must answer
phantom       a digital phantom of stroke mCTA, with known truth and twins
"""
