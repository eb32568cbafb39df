# SPDX-License-Identifier: Apache-2.0
"""Other ways to answer the same question, each a program of its own: the yardsticks.

Each takes the path of a CTA volume first and prints one JSON line with the highest probability of
each region, so that speed is never compared without the answers.
"""
