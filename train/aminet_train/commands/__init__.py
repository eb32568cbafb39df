# SPDX-License-Identifier: Apache-2.0
"""The commands of training, one module each: parse, call one library function, print.

torch is imported only after the arguments are known to be good, so that `--help` is quick.
"""
