# SPDX-License-Identifier: Apache-2.0
"""Search of hyperparameters.

space     what aminet-tune searches
trials    the journal of a search
plan      a search as it was asked for, and whether a folder holds the same one
search    Optuna proposes, ASHA stops, Ray runs
report    what a search found
"""
