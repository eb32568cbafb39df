# SPDX-License-Identifier: Apache-2.0
"""The source report's study on phantoms, from nothing to its tables.

stage      one command, and how it goes on after it was stopped
networks   which networks are compared, and how each is trained
plan       the stages: cohort, preparations, trainings, evaluations
run        do what is not finished, each stage with a log and a record
tables     what was found, as Markdown, each figure with its command
"""
