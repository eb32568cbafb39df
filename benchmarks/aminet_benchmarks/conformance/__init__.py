# SPDX-License-Identifier: Apache-2.0
"""The conformance kit: what a host must answer, so that a port can prove itself.

head    a small head, asymmetric in every direction, as files in several orientations
kit     write a kit for a bundle, and prove that the common faults would show in it
check   judge the answers of a host

docs/embedding.md says what a host has to do with a kit.
"""
