# SPDX-License-Identifier: Apache-2.0
"""Phantoms of real anatomy: a head-CT template and traced arterial trees, warped for each seed.

    layout      names of the files in an anatomy folder
    folder      opens such a folder, and refuses what does not fit
    selection   which of the trees a cohort uses
    template    head template -> signed distances of its tissues
    rooted      a traced tree, oriented from its inlets
    trunks      the trunks of the circle of Willis in it
    register    the circle of Willis moved to where it lies in the template
    naming      a `Segment` for every node
    plotting    a named tree -> the vessel graph
    missing     what tracing leaves out: neck, thin vessels, veins
    warp        one strong smooth warp for template and tree
    heads       the source of heads: `RealHeads.draw(seed, config)`
    sources     where the files come from, with their hashes
    download    one file over the network, whole and verified or not at all
    vtp         the file format of the trees at their source
    fetch       `aminet-phantom fetch-anatomy`

Everything is built in the template's frame (MNI152, RAS mm) and warped once at the end.
"""
