# SPDX-License-Identifier: Apache-2.0
"""How time and memory grow with the task: curves, each with the exponent that was measured.

plan      what is measured: the points of each curve
curve     points, the exponent through them, JSON and tables
patients  aminet-run against slices, pixels, patients, threads and jobs
making    training, preparation and export
"""
