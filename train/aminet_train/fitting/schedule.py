# SPDX-License-Identifier: Apache-2.0
"""Learning rate and momentum as functions of the step, so that a resumed run needs no state.

One cycle: up in the first tenth, down along a cosine to next to nothing; momentum runs the other
way. Source: Smith and Topin, Super-convergence, 2018, with PyTorch's constants.
"""

import math

WARM_UP_SHARE = 0.1
START_SHARE = 1 / 25
END_SHARE = START_SHARE / 1e4
LOW_MOMENTUM, HIGH_MOMENTUM = 0.85, 0.95


def rate_share(step: int, total: int) -> float:
    """Return the learning rate of a step as a share of its peak."""
    return _one_cycle(step, total, start=START_SHARE, peak=1.0, end=END_SHARE)


def momentum(step: int, total: int) -> float:
    """Return AdamW's first beta at a step."""
    return _one_cycle(step, total, start=HIGH_MOMENTUM, peak=LOW_MOMENTUM, end=HIGH_MOMENTUM)


def _one_cycle(step: int, total: int, *, start: float, peak: float, end: float) -> float:
    turn = WARM_UP_SHARE * total - 1
    if step < turn:
        return _cosine(start, peak, step / turn)
    return _cosine(peak, end, (step - turn) / max(total - 1 - turn, 1.0))


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))
