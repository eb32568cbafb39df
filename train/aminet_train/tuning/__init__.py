# SPDX-License-Identifier: Apache-2.0
"""Search of hyperparameters.

space     what aminet-tune searches
trials    the journal of a search
search    Optuna proposes, ASHA stops, Ray runs
report    what a search found
"""
