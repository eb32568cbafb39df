# SPDX-License-Identifier: Apache-2.0
"""Version of the generator: it changes whenever the same seed would give other voxels."""

GENERATOR_VERSION = 5
