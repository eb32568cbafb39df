# SPDX-License-Identifier: Apache-2.0
"""What an approach is worth: scores, metrics, tables and pictures, models side by side.

candidates      what can be evaluated: checkpoint, bundle, ensemble
answers         what an approach says about a patient, and how far it is right, at both levels
evaluate        scores of one patient by a network, metrics of scores
spiral          the baseline: a threshold on the SPIRAL map, fitted on training patients
evaluation      models side by side
curves          precision against recall, reliability, sweep of a threshold
twins           do the flags go with the clot
examples        hits, misses and flags in vain as pictures
plots           curves as PNG
report_tables   the tables of an evaluation
saved_scores    scores as npz, to compute the counts again
evaluation_files  the folder of an evaluation
"""
