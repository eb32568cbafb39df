# SPDX-License-Identifier: Apache-2.0
"""The verbs of `aminet-benchmark`, one a module: parse, call, print.

conformance  write a conformance kit, or check a port with one
"""
