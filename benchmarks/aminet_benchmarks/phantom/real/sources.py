# SPDX-License-Identifier: Apache-2.0
"""Where the files of real anatomy come from, pinned to a commit and a hash.

    BraVa: Wright et al., NeuroImage 2013;82:170-181, by way of the INSIST consortium (BSD-3).
    Clinical: head-CT template, Rorden et al., NeuroImage 2012;61:957 (BSD-2).

Only this list is part of the project, never a file of theirs.
"""

from dataclasses import dataclass

from aminet_benchmarks.phantom.real.layout import TEMPLATE_FOLDER, TREE_FOLDER

RAW_HOST = "https://raw.githubusercontent.com"
TREES_PATH = "rmpadmos/Collaterals_Porous-clots/636087367c43e30f8eff64b5dace18544ff39d2c"
TEMPLATE_PATH = "neurolabusc/Clinical/1b6bc35f55a5a3dcdc8f7c3e5d58ba3407171dcb"


@dataclass(frozen=True, slots=True)
class Source:
    """One file to fetch.

    Attributes:
        url_path: Behind the host.
        target: Where it goes in the anatomy folder.
        size: Bytes.
        sha256: Hash (hex) of the bytes.
    """

    url_path: str
    target: str
    size: int
    sha256: str

    @property
    def is_traced(self) -> bool:
        """Say whether it is a tree in the format of its source, to be converted."""
        return self.url_path.endswith(".vtp")


# Name in the folder, name at the source, bytes, SHA-256: those 41 of the source's 61 trees that our
# figures were read off. They are numbered by their place among all.
TREES = (
    (
        "tree_00",
        "BG0002",
        41503,
        "93daf2ba315c7ce3945704843895c5da364591ba50633110eaa407d7e1bfb97c",
    ),
    (
        "tree_02",
        "BG0014",
        47247,
        "4b90af85950e3673b59d0432afc677ad47e04a02ffaa2f69ee361c9502b8d160",
    ),
    ("tree_04", "BG001", 34403, "9f5ed6e050b5c055d6adf8c992202a8b7c8c466a94c76074f33f32428baab71b"),
    (
        "tree_06",
        "BG0021",
        44175,
        "055a9a4677ab20dead052082fca3d7a1a1e740a05059972e38bc643a3821f168",
    ),
    ("tree_08", "BG04", 39699, "fca3289a096663f4039a7ac114e8b26583182aad646b1525e27f0b303b5bee25"),
    ("tree_09", "BG05", 38783, "f5b481d61f0624a64b042f3264b6492360ea8f45a0c308c3a94f3f90950c9d6c"),
    ("tree_11", "BG07", 41023, "062006d59d21546bd21a600bbdec3c24e1f896933ae6ee0f52a7d069e687603a"),
    ("tree_12", "BG08", 32807, "662b3f167aadbce3f00102657a60ab93919d5e4e12e16045c38fdc722fa2369b"),
    ("tree_13", "BG09", 39995, "ca251472732df87200caa3305efb72cd95118e32686a19a7b2214199b2ae4dd2"),
    ("tree_14", "BG10", 35459, "de0f2660c14d322f164ca1512260de58f89f4efbdb264dc6783b8034387f9b44"),
    ("tree_15", "BG11", 41635, "2fe0edee7a6767c7690a97927f7082af7d284b2a19c1d1435c4f01d4eb96b835"),
    ("tree_17", "BG13", 46127, "d3fdeb07f36cbc26135d5d0911ed081427b9f3685e7b42a535bec056e48cc8b2"),
    ("tree_19", "BG17", 40351, "7455e2a2fbc4bbf899957d53b59321eaef738a26db13d3cc6a71484cfc8ba6d9"),
    ("tree_20", "BG18", 39607, "fc99d5b368a77c2e78d8225eba9d2aa03fabfcacc607d427b64919ac5780f49e"),
    (
        "tree_22",
        "BH0003",
        36719,
        "6e949a1082ac78c5831f59166150828ef316643787e01302784b5e4cd5741c77",
    ),
    (
        "tree_23",
        "BH0004",
        32455,
        "6cde76a7f9041c5cac2ba621e41e80867bba89f60bc91f9355b33d9f3517cdb8",
    ),
    (
        "tree_24",
        "BH0005",
        39071,
        "0de0094cdefb6e66374fda68971275fc347779bba09e17d78ef82f1a0aeef94a",
    ),
    (
        "tree_25",
        "BH0006",
        46711,
        "c7f4b8ca067ae36f63a1ef7a174e1fcb1a9b3d3b38e58bc061461ca9d3e559b3",
    ),
    (
        "tree_26",
        "BH0008",
        37971,
        "f0e3f93a0c9f5d13c8aa74f5da9284a5e86ffdf300a6e0658b51e26653ca6540",
    ),
    (
        "tree_27",
        "BH0009",
        38715,
        "fa54df09154fb926b2c8602a639ac083aa92385983f17617a7f39bca361bee0f",
    ),
    (
        "tree_29",
        "BH0011",
        45151,
        "80c1feb30cbd43db90f1cf2262e110d9b1efb5b1d94172a52adb8e521a9a1663",
    ),
    (
        "tree_30",
        "BH0012",
        27627,
        "fc90f6300f6b84564a9f42b858d812b6bed5d6bbeccd1e7cc95f28c693c3da41",
    ),
    (
        "tree_31",
        "BH0013",
        26215,
        "72e0159152bfa1b09fa55772a5144a554ca3211db9c9cb0bd9fd8b6c3e31e87c",
    ),
    (
        "tree_33",
        "BH0015",
        33399,
        "092dfc87ddd1728798a6aaf198d7d872916b0b6bd8434e6378b39bfea9c39e45",
    ),
    (
        "tree_34",
        "BH0016",
        32503,
        "ff67ffb0043d5d701ae1a2bf3ab30418d387b0b970bcb2c743b6f33f5dd22608",
    ),
    (
        "tree_36",
        "BH0018",
        41851,
        "3b1cd04365efc1725443966ba9243a6afba5d6fcf9ed12bdd15ecf6bfdc26c9b",
    ),
    (
        "tree_37",
        "BH0019",
        36427,
        "1d33ff0dd3b628e7f3a3322840e8beda3fdf4fb18f657653e6b230175e75be18",
    ),
    (
        "tree_39",
        "BH0021",
        38487,
        "cb03b361dab9ea30208868932f4202a595317222c44ff12e3003be027ec41f85",
    ),
    (
        "tree_42",
        "BH0024",
        37099,
        "3ba1afbb6c05d679595d6ec129057dbf0b1d05beb399ce1967c683eef87f3b29",
    ),
    (
        "tree_44",
        "BH0026",
        37603,
        "af1e9399a6ad9cff24563cb2c7e9a28347dab73cb74bda4861ff6b6a886322e3",
    ),
    (
        "tree_45",
        "BH0027",
        41039,
        "7258cbc882287c8a84fc24eed1a2e78e1996c4c1dbdf80e274c895f326597f2f",
    ),
    (
        "tree_46",
        "BH0029",
        36795,
        "3353876232225655800c372e6aadfcf102976e0ae5e43b44aca1c78114d3e715",
    ),
    (
        "tree_47",
        "BH0030",
        39023,
        "da1ea8f085d54cf18ac9c8c9d17edbca3ae0c5070195fbb295640338c8ab8330",
    ),
    (
        "tree_48",
        "BH0031",
        34011,
        "ed6c48c9f0b2e6a1e207964e3bae80b03f2d745994138922d5877712ffe3cb3b",
    ),
    (
        "tree_51",
        "BH0034",
        38091,
        "314c0d436de42f8a9f75528d026258fbbbe4abafad3bf35c6253e7f2042d0135",
    ),
    (
        "tree_52",
        "BH0035",
        44759,
        "cf1080d4292d04e2239a61affe21e9f7ad2f01dba066d43c9c59f8f43932fa7a",
    ),
    (
        "tree_53",
        "BH0036",
        36435,
        "bb36729fd67c7646a6f96c80987edc1b648e8d8e10915d61bf94dced96764dca",
    ),
    (
        "tree_54",
        "BH0037",
        41819,
        "229a447feb7b27efa14a047e1476f2e2ac0b446b5966f0ad3bec42fdecadc11c",
    ),
    (
        "tree_55",
        "BH0038",
        43587,
        "fe9eacbf483fefd7d232b5a9cf1efc6837970211a80ac4b9015721f29a24e245",
    ),
    (
        "tree_56",
        "BH0039",
        31823,
        "b3cac755c4aaae5236689ec53441321633f4f93ea4b578842ec7873277aa1e6f",
    ),
    ("tree_59", "Set8", 42183, "c67011989effb64a8a45051c4ee11e43a94d6df85c2d286e1fa96d9085a050cf"),
)
TEMPLATE = (
    ("scct.nii", 902981, "8c1bc8f45e800bcb74a91ae5539afbe7cbc5b730109dccfa331d450b1cf208b3"),
    (
        "scct_stripped.nii",
        1805610,
        "7996bb8b44e1ee5c8a327dc3a6b7c13e72ca0049a6eecba9d3d8ada98aa800ac",
    ),
    ("sccsf.nii", 902981, "32d9657b84724cc1a65152aa0efc3a1520e55823554bc8c1028772206e5fabc0"),
    ("LICENSE", 1322, "9032d678ccb4f796399de2627c95eb6249f4711d8f2bb587c0ab2dd0844c3d61"),
)
TREES_LICENSE = (1541, "879bd73391f88698c68bc05c0ee994189738acb6445c81d3bc1a7d54ce8b3072")


def all_sources() -> tuple[Source, ...]:
    """Return all files to fetch, licences included."""
    trees = [
        Source(
            f"{TREES_PATH}/DataFiles/Brava/{person}_ColorCoded.CNG.vtp",
            f"{TREE_FOLDER}/{name}.npz",
            size,
            sha256,
        )
        for name, person, size, sha256 in TREES
    ]
    template = [
        Source(f"{TEMPLATE_PATH}/{name}", f"{TEMPLATE_FOLDER}/{name}", size, sha256)
        for name, size, sha256 in TEMPLATE
    ]
    licence = Source(f"{TREES_PATH}/LICENSE", f"{TREE_FOLDER}/LICENSE.BSD-3", *TREES_LICENSE)
    return (*trees, licence, *template)
