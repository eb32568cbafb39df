# SPDX-License-Identifier: Apache-2.0
"""Pictures of phantoms, for eyes that know CTA.

    views         projections and slices of one patient
    colours       windows, and colours of regions, maps and clots
    files         a figure as a small PNG
    sheet         some patients, one a line: MIPs of the phases, atlas, map and clot
    differences   what a clot changes against the clot-free twin, by phase

Pictures are shown as radiologists look at them: from the feet, the patient's right on the left.
"""
