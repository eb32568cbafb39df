# SPDX-License-Identifier: Apache-2.0
"""The usual course of the named vessels, as control points in the head frame (MNI mm).

All are given for the right side (x > 0) and mirrored. They were read off the anatomy of the
circle of Willis in MNI space and checked against 41 real trees (Wright et al., NeuroImage 2013).
"""

from dataclasses import dataclass

from aminet_benchmarks.phantom.vessels import Segment

Points = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Course:
    """One named vessel.

    Attributes:
        segment: What it is.
        parents: Segments that it may leave; it leaves the nearest node.
        points: Control points after the parent's node.
        presence: Probability that it is there.
    """

    segment: Segment
    parents: tuple[Segment, ...]
    points: Points
    presence: float = 1.0


ICA: Points = (
    (23, -24, -100),
    (24, -22, -80),
    (25, -20, -62),
    (23, -16, -53),
    (16, -10, -47),
    (12.5, -8, -42),
    (12.5, 0, -38.5),
    (13.5, 5.5, -34),
    (12.5, 4, -28.5),
    (11, -1, -25),
    (12, 0, -20),
    (12.5, 2, -16),
)
ICA_RADII_MM = (2.4, 2.4, 2.3, 2.2, 2.1, 2.1, 2.0, 2.0, 1.9, 1.8, 1.75, 1.7)
VERTEBRAL: Points = (
    (25, -30, -102),
    (26, -30, -86),
    (31, -36, -77),
    (21, -46, -72),
    (11, -38, -65),
    (7, -27, -57),
    (3, -19, -50),
)
VERTEBRO_BASILAR_JUNCTION = (0.0, -17.0, -44.0)
BASILAR: Points = ((0.5, -15.5, -36), (0, -15.5, -28), (0, -17, -19))

M1: Points = ((18, 4, -16.5), (25, 4.5, -19), (32, 3, -19.5), (37, 2, -17.5))
A1: Points = ((8, 8, -15.5), (2.5, 13, -12.5))
P1: Points = ((5, -17, -17.5), (9.5, -18.5, -16))
P2: Points = ((15, -21, -16), (19, -28, -14), (17.5, -36, -11))

S = Segment
SUPERIOR = (S.M2_SUPERIOR,)
INFERIOR = (S.M2_INFERIOR,)
HEMISPHERE = (
    # the two M2 trunks over the insula
    Course(S.M2_SUPERIOR, (S.M1,), ((39, 5, -9), (38.5, 7, 0), (38, 4, 8))),
    Course(S.M2_INFERIOR, (S.M1,), ((40, -4, -12), (41.5, -14, -4), (40.5, -24, 5))),
    # frontal branches
    Course(S.M3_SUPERIOR, SUPERIOR, ((42, 15, -6), (47, 28, -8), (48, 37, -4), (44, 50, 2)), 0.9),
    Course(S.M3_SUPERIOR, SUPERIOR, ((40, 14, 4), (45, 19, 8), (55, 23, 9), (56, 30, 24))),
    Course(S.M3_SUPERIOR, SUPERIOR, ((39, 6, 11), (45, 6, 14), (59, 6, 13), (61, 8, 30))),
    Course(S.M3_SUPERIOR, SUPERIOR, ((38, -4, 13), (44, -4, 18), (61, -6, 16), (62, -12, 34))),
    Course(
        S.M3_SUPERIOR, SUPERIOR, ((38, -12, 15), (45, -16, 20), (61, -20, 20), (61, -30, 38)), 0.9
    ),
    # temporal and parietal branches
    Course(S.M3_INFERIOR, INFERIOR, ((40, -28, 12), (47, -33, 18), (61, -40, 22), (56, -54, 38))),
    Course(S.M3_INFERIOR, INFERIOR, ((42, -30, 6), (49, -38, 11), (60, -50, 12), (51, -70, 24))),
    Course(
        S.M3_INFERIOR, INFERIOR, ((44, -24, 0), (53, -34, 2), (62, -47, -2), (52, -72, -4)), 0.9
    ),
    Course(S.M3_INFERIOR, INFERIOR, ((46, -17, -6), (56, -24, -7), (65, -30, -8), (61, -46, -16))),
    Course(
        S.M3_INFERIOR, INFERIOR, ((46, -8, -12), (56, -11, -13), (65, -13, -14), (61, -22, -26))
    ),
    Course(S.M3_INFERIOR, (S.M1,), ((43, 6, -23), (52, 6, -25), (57, -2, -34)), 0.85),
    Course(S.M3_INFERIOR, (S.M1,), ((36, 10, -26), (41, 17, -32), (46, 15, -38)), 0.7),
    # anterior cerebral artery beyond the communicating artery
    Course(S.A2, (S.A1,), ((2.5, 19, -7), (2.5, 27, 0), (3, 33, 7))),
    Course(
        S.A3,
        (S.A2,),
        ((3.5, 35, 15), (3.5, 27, 25), (3.5, 8, 29), (3.5, -12, 29), (3.5, -30, 25)),
    ),
    Course(S.A3, (S.A2,), ((4, 43, 19), (4, 37, 35), (4, 19, 44), (4, -2, 48)), 0.85),
    Course(S.A3, (S.A2,), ((4, 36, -12), (4.5, 50, -10)), 0.8),
    Course(S.A3, (S.A2,), ((3.5, 42, 3), (4, 54, 6), (5, 62, 16)), 0.9),
    # posterior cerebral artery
    Course(S.P3, (S.P2,), ((14, -45, -6), (11, -58, 2), (8, -74, 5), (8, -89, 4))),
    Course(S.P3, (S.P2,), ((14, -45, -4), (12, -54, 8), (9, -66, 19), (8, -74, 28))),
    Course(S.P3, (S.P2,), ((27, -27, -22), (37, -29, -27), (45, -35, -29)), 0.9),
    Course(S.P3, (S.P2,), ((26, -44, -17), (36, -57, -19), (40, -68, -17)), 0.9),
)
CEREBELLAR = (
    Course(
        S.CEREBELLAR,
        (S.BASILAR,),
        ((7, -20, -22), (15, -30, -23), (17, -42, -19), (12, -55, -12), (8, -68, -16)),
    ),
    Course(
        S.CEREBELLAR,
        (S.BASILAR,),
        ((9, -19, -35), (18, -27, -39), (27, -40, -43), (30, -54, -48)),
        0.9,
    ),
    Course(
        S.CEREBELLAR,
        (S.VERTEBRAL,),
        ((12, -33, -58), (10, -44, -55), (8, -54, -55), (14, -68, -52)),
        0.85,
    ),
)
PERFORATORS: tuple[Points, ...] = (
    ((17, 4, -12), (20, 3, -4), (18, 6, 8)),
    ((20, 5, -13), (23, 2, -4), (22, 4, 9)),
    ((22, 5, -14), (26, 0, -4), (24, -2, 10)),
    ((25, 5, -15), (28, -2, -4), (26, -8, 10)),
    ((28, 4, -16), (30, -4, -4), (27, -12, 11)),
)
EXTERNAL: tuple[tuple[Points, float], ...] = (
    # superficial temporal with its two branches, middle meningeal, occipital, maxillary
    (((52, -14, -100), (56, -14, -60), (76, -12, -30), (78, 2, 4), (70, 30, 36)), 0.9),
    (((76, -12, -30), (79, -22, 10), (72, -36, 44)), 0.7),
    (((40, -8, -60), (44, -6, -47), (60, -2, -34), (68, 4, 0), (62, 6, 36)), 0.6),
    (((40, -44, -90), (46, -72, -62), (36, -100, -20), (24, -104, 14)), 0.8),
    (((54, -12, -62), (42, 10, -58), (30, 34, -60)), 0.9),
)
SINUSES: tuple[tuple[Points, float], ...] = (
    (
        (
            (0, 66, -6),
            (0, 69, 14),
            (0, 58, 45),
            (0, 38, 67),
            (0, 8, 80),
            (0, -30, 80),
            (0, -68, 58),
            (0, -94, 26),
            (0, -99, -4),
        ),
        3.4,
    ),
    (((0, -38, 8), (0, -60, 6), (0, -80, 2), (0, -98, -4)), 2.2),
    (((4, 4, 7), (3, -14, 12), (2, -30, 11), (0, -38, 8)), 1.0),
    (((16, -6, -19), (19, -24, -10), (10, -38, 3), (0, -38, 8)), 1.0),
)
TRANSVERSE: Points = (
    (0, -98, -4),
    (24, -94, -12),
    (48, -74, -17),
    (57, -52, -22),
    (51, -40, -36),
    (44, -40, -50),
    (30, -34, -60),
    (28, -26, -72),
    (28, -22, -100),
)
