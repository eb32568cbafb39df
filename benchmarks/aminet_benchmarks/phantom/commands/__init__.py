# SPDX-License-Identifier: Apache-2.0
"""The verbs of `aminet-phantom`, one a module: parse, call, print.

    options     what several verbs ask for
    fetch_anatomy  real anatomy from its public sources
    make        no verb: write patient folders
    prepare     phantoms straight to prepared data
    validate    figures beside real ones
    sheet       a picture of some patients
    differences what clots change, and that nothing else does
    signal      how many pixels a clot changes
    probe       shortcuts

A verb is a function `main(argv) -> exit code`, entered with its one-line summary in `cli.VERBS`.
"""
