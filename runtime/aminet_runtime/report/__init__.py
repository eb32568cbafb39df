# SPDX-License-Identifier: Apache-2.0
"""A page for one patient that a clinician can check by eye, made of the standard library only.

| module | owns |
|---|---|
| `key_slices` | the slices to be shown, kept while all slices stream by |
| `exhibits` | which of them a page shows: flagged regions, or those nearest to their thresholds |
| `outlines` | where the atlas draws a flagged region on them |
| `markup` | HTML that escapes by construction |
| `png` | a grey picture as a PNG file |
| `contour` | the border of a mask as an SVG path |
| `pictures` | a slice with its overlays, as SVG |
| `strips` | a region's probability over the height of the head, as SVG |
| `page`, `page.css` | the page, of a result or of a refusal |

The page is one file without scripts, fonts or links, says nothing about the patient but the name of
the folder, and tells apart by words, line styles and symbols what it also tells apart by colour.
"""
