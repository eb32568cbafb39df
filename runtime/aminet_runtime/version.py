# SPDX-License-Identifier: Apache-2.0
"""The version: read by hatchling for the wheel, and by the commands without a metadata search."""

VERSION = "0.1.0"
