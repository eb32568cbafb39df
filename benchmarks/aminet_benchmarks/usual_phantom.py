# SPDX-License-Identifier: Apache-2.0
"""The phantom that is measured where no patient is named: the same one in every room."""

PHANTOM_SEED = 7
FULL_SHAPE = (512, 512, 257)
"""Stored i, j, k of a whole head, as the source report's patients have it."""

SMALL_SHAPE = (256, 256, 48)
"""For runs that show that something works, and not how fast."""
