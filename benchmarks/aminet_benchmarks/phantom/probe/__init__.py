# SPDX-License-Identifier: Apache-2.0
"""Can the regions be guessed without seeing a clot? Probes that look for shortcuts.

    masking     a slice without its vessels
    pose        where a slice is and how the head lies
    examples    what the probes see of each patient
    networks    small networks, trained
    baselines   what can be guessed without looking at all
    scores      average precision and F1 with intervals
    study       all of it, and its table

Slices are low-resolution; labels are those of the patient with the clot, always.
"""
