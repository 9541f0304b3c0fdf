"""The same scene from several providers is one row, and what only looks alike is not."""

import copy
import json
from pathlib import Path

import pytest
from cubehub_catalogue import items
from cubehub_catalogue.code_routes import loaded_of
from cubehub_catalogue.folding import Folding
from cubehub_catalogue.query import Sort
from cubehub_catalogue.reserved import reserved_title
from cubehub_catalogue.rows import order_of, row_of
from cubehub_catalogue.scenes import scene_of
from hypothesis import given, settings
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data" / "items"
REAL = {
    path.stem.split("__")[-1]: items.readable([json.loads(path.read_text())])[0]
    for path in DATA.glob("*.json")
}
PC = REAL["S2B_MSIL2A_20200705T101559_R065_T32TMT_20200825T083452"]
CDSE = REAL["S2B_MSIL2A_20200705T101559_N0500_R065_T32TMT_20230530T175912"]
OLD, NEW = REAL["S2A_32TMT_20200302_0_L2A"], REAL["S2A_32TMT_20200302_1_L2A"]
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}


def item(id_, moment="2024-05-01T00:00:00Z", geometry=SQUARE, collection="c", **properties):
    return {
        "id": id_,
        "collection": collection,
        "geometry": geometry,
        "assets": {},
        "links": [],
        "properties": {"datetime": moment, **properties},
    }


def folded(*pairs, catalogues=("a", "b", "c"), platform=("a",)):
    folding = Folding(catalogues, platform)
    for number, (catalogue, one) in enumerate(pairs):
        folding.add(catalogue, one, (number,))
    return folding


def shown(folding):
    return [
        (row["catalogue"], row["id"], [(c["catalogue"], c["id"]) for c in row["copies"]])
        for row in (row.to_dict() for row in folding.rows.values())
    ]


MINE, GROUP = "own.d5a5e5cf-0d2b", "group._2fcubehub_2fstandard"


def published(collection, href="/services/cubes/s3/datasets/ana--my-lake.zarr"):
    return item("ana--my-lake", collection=collection, title="My lake") | {"assets": {"zarr": {"href": href}}}


def test_a_cube_that_was_published_for_a_group_is_one_row_for_its_owner():
    (row,) = folded(("a", published(MINE)), ("a", published(GROUP))).rows.values()
    found = row.to_dict()
    assert (found["collection"], found["collection_title"]) == (MINE, "Mine")
    assert [(c["collection"], c["collection_title"]) for c in found["copies"]] == [(GROUP, "Group standard")]
    # elsewhere a collection of such a name is nobody's own
    (row,) = folded(("b", published(MINE))).rows.values()
    assert row.to_dict()["collection_title"] is None
    # somebody else's item of the same name is another one, and so is what other collections hold
    assert len(folded(("a", published(MINE)), ("a", published(GROUP, "elsewhere"))).rows) == 2
    assert len(folded(("a", published("c")), ("a", published("d"))).rows) == 2


@pytest.mark.parametrize(
    ("collection", "title"),
    [
        ("own.1", "Mine"),
        ("group._2fwater_2fs_c3_bcd", "Group water/süd"),
        ("group._ff_0a", "Group \ufffd\ufffd"),
        ("group.", None),
        ("own.a/b", None),
        ("sentinel-2-l2a", None),
    ],
)
def test_collections_that_are_not_for_everybody_have_a_title(collection, title):
    assert reserved_title(collection) == title


def test_one_datatake_and_tile_of_two_providers_is_one_row_that_shows_the_newer_baseline():
    for pairs in ([("a", PC), ("b", CDSE)], [("b", CDSE), ("a", PC)]):
        (row,) = folded(*pairs).rows.values()
        found = row.to_dict()
        assert (found["catalogue"], found["id"], found["version"]) == ("b", CDSE["id"], "05.00")
        assert [(c["catalogue"], c["version"], c["earlier"]) for c in found["copies"]] == [
            ("a", "02.12", True)
        ]
        assert found["order"] == [0]


def test_what_was_folded_counts_where_a_search_again_finds_it():
    """Two baselines of a scene are one row here, and two items of their collection when a cell searches again."""
    elsewhere = [("b", item("x", collection="d"))]
    folding = folded(("a", OLD), ("a", NEW), ("b", OLD | {"collection": "other"}), *elsewhere)
    assert len(folding.rows) == 2
    loaded = [(entry.catalogue, entry.shown["id"]) for entry in loaded_of(list(folding.rows.values()))]
    assert loaded == [("a", NEW["id"]), ("b", "x"), ("a", OLD["id"])]
    # what only another collection has is not asked for
    (row,) = folded(("a", PC), ("b", CDSE)).rows.values()
    assert [entry.shown["id"] for entry in loaded_of([row])] == [CDSE["id"]]


def test_the_neighbouring_tile_of_the_same_datatake_is_another_row():
    other = REAL["S2B_MSIL2A_20200705T101559_N0500_R065_T32TNT_20230530T175912"]
    assert len(folded(("a", PC), ("b", other)).rows) == 2


def test_two_baselines_in_one_collection_are_versions_of_one_row():
    pairs = [("a", REAL[f"S2A_32T{tile}_20200302_{n}_L2A"]) for tile in ("MT", "NT") for n in (0, 1)]
    rows = [row.to_dict() for row in folded(*pairs).rows.values()]
    assert [(row["id"], row["version"]) for row in rows] == [
        ("S2A_32TMT_20200302_1_L2A", "05.00"),
        ("S2A_32TNT_20200302_1_L2A", "05.00"),
    ]
    assert [copy_["version"] for row in rows for copy_ in row["copies"]] == ["02.14", "02.14"]


def test_of_the_same_version_the_catalogue_that_stands_first_is_shown():
    for pairs in ([("b", NEW), ("a", NEW)], [("a", NEW), ("b", NEW)]):
        assert shown(folded(*pairs)) == [("a", NEW["id"], [("b", NEW["id"])])]


GRD = "S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13"
FIRST = {"s1:processing_datetime": "2021-08-09T20:19:58.000000Z"}
AGAIN = {"processing:datetime": "2023-02-01T06:00:00.123Z"}


def row_of_radar(*pairs):
    rows = folded(*pairs).rows
    assert len(rows) == 1
    return next(iter(rows.values())).to_dict()


@pytest.mark.parametrize("catalogues", [("a", "b"), ("a", "a")])
def test_of_two_processings_of_a_radar_scene_the_newer_is_shown_and_the_other_is_its_earlier_version(
    catalogues,
):
    pairs = [
        (catalogues[0], item(f"{GRD}_6FF8", **FIRST)),
        (catalogues[1], item(f"{GRD}_0A1B", **AGAIN)),
    ]
    for order in (pairs, pairs[::-1]):
        row = row_of_radar(*order)
        assert (row["id"], row["version"]) == (f"{GRD}_0A1B", "2023-02-01T06:00:00Z")
        (other,) = row["copies"]
        assert (other["id"], other["version"]) == (f"{GRD}_6FF8", "2021-08-09T20:19:58Z")
        assert other["earlier"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # the same product, of which one says when it began to be processed and the other when that was done
        (item(f"{GRD}_6FF8", **FIRST), item(GRD, **{"s1:product_identifier": f"{GRD}_6FF8", "processing:datetime": "2021-08-09T20:31:00Z"})),
        # nothing is said by one of them, or by both
        (item(f"{GRD}_6FF8", **FIRST), item(GRD)),
        (item(f"{GRD}_6FF8"), item(f"{GRD}_0A1B")),
        (item(f"{GRD}_6FF8", **FIRST), item(GRD, **{"processing:datetime": "rubbish"})),
        # a time and a version of the processor don't compare
        (item(f"{GRD}_6FF8", **FIRST), item(f"{GRD}_0A1B", **{"processing:version": "003.71"})),
        # another form is not another processing, whenever it was written
        (item(f"{GRD}_6FF8", **FIRST), item(f"{GRD}_0A1B_COG", **AGAIN)),
    ],
)  # fmt: skip
def test_a_copy_is_no_earlier_version_where_nobody_says_so(one, other):
    for pairs in ([("a", one), ("b", other)], [("b", other), ("a", one)]):
        assert [copy_["earlier"] for copy_ in row_of_radar(*pairs)["copies"]] == [False]


def test_versions_of_the_processor_compare_too_and_forms_of_one_collection_are_one_row():
    old = {"processing:software": {"Sentinel-1 IPF": "002.36"}}
    row = row_of_radar(
        ("a", item(f"{GRD}_6FF8", **old)), ("a", item(f"{GRD}_0A1B", **{"processing:version": "003.71"}))
    )
    assert (row["version"], row["copies"][0]["version"], row["copies"][0]["earlier"]) == (
        "003.71",
        "002.36",
        True,
    )
    assert (
        len(
            row_of_radar(("a", item(f"{GRD}_6FF8", **FIRST)), ("a", item(f"{GRD}_0A1B_COG", **FIRST)))[
                "copies"
            ]
        )
        == 1
    )


def test_the_same_product_has_the_same_version_whoever_tells_it():
    other = item(GRD, **{"s1:product_identifier": f"{GRD}_6FF8"})
    row = row_of_radar(("a", item(f"{GRD}_6FF8", **FIRST)), ("b", other))
    assert row["version"] == row["copies"][0]["version"] == "2021-08-09T20:19:58Z"


def test_of_one_product_the_catalogue_that_stands_first_is_shown_whichever_moment_it_tells():
    began = item(f"{GRD}_6FF8", **FIRST)
    ended = item(f"{GRD}_6FF8", **{"processing:datetime": "2021-08-09T20:31:00Z"})
    for one, other in ((began, ended), (ended, began)):
        for pairs in ([("a", one), ("b", other)], [("b", other), ("a", one)]):
            row = row_of_radar(*pairs)
            assert row["catalogue"] == "a"
            assert [(c["catalogue"], c["version"], c["earlier"]) for c in row["copies"]] == [
                ("b", row["version"], False)
            ]
    # a newer product still stands before both
    row = row_of_radar(("a", began), ("b", ended), ("c", item(f"{GRD}_0A1B", **AGAIN)))
    assert row["catalogue"] == "c"
    assert [(c["catalogue"], c["earlier"]) for c in row["copies"]] == [("a", True), ("b", True)]


def test_a_row_has_no_more_copies_than_somebody_can_look_at():
    found = folded(*(("a", OLD | {"collection": str(n)}) for n in range(120)))
    assert [len(row.entries) for row in found.rows.values()] == [50, 50, 20]


def test_two_granules_of_one_pass_stay_two_rows():
    first = item("S2C_T13TDE_20250729T175521_L2A", "2025-07-29T18:03:12.927Z")
    second = item("S2C_T13TDE_20250729T180310_L2A", "2025-07-29T18:03:19.545Z")
    assert len(folded(("a", first), ("b", second)).rows) == 2
    # and so do two halves of one datatake, which only differ in the time they were made
    half = item("S2A_MSIL2A_20200302T102021_N0500_R065_T32TMT_20230618T173704")
    other = item("S2A_MSIL2A_20200302T102021_N0500_R065_T32TMT_20230618T173709")
    assert len(folded(("a", half), ("a", other)).rows) == 2
    far = {"type": "Polygon", "coordinates": [[[0.9, 0], [2, 0], [2, 1], [0.9, 1], [0.9, 0]]]}
    assert len(folded(("a", half), ("b", {**other, "geometry": far})).rows) == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("S1A_IW_GRDH_1SDV_20250312T052236_20250312T052301_058267_073394", "S1A_IW_GRDH_1SDV_20250312T052236_20250312T052301_058267_073394_5F3B_COG", True),
        ("S1A_IW_GRDH_1SDV_20250312T052236_20250312T052301_058267_073394_5F3B.SAFE", "S1A_IW_GRDH_1SDV_20250312T052236_20250312T052301_058267_073394", True),
        ("S1A_IW_GRDH_1SDV_20250312T052236_20250312T052301_058267_073394", "S1A_IW_GRDH_1SDV_20250312T052236_20250312T052301_058267_073394_rtc", False),
        ("S1A_IW_SL1__1_SH_20141031T095929_20141031T100002_003072_003842", "S1A_IW_SL1__1SSH_20141031T095929_20141031T100002_003072_003842_ABCD", True),
        ("S1A_IW_GRDH_1SDV_20250312T052236_20250312T052301_058267_073394", "S1A_IW_SLC__1SDV_20250312T052236_20250312T052301_058267_073394_5F3B", False),
        ("S3A_OL_2_WFR_20210604T001016_20210604T001316_0179_072_273_1440", "S3A_OL_2_WFR____20210604T001016_20210604T001316_20210605T100000_0179_072_273_1440_MAR_O_NT_003", True),
        ("S3A_OL_2_WFR____20210604T001016_20210604T001316_20210604T030000_0179_072_273_1440_MAR_O_NR_003.SEN3", "S3A_OL_2_WFR____20210604T001015_20210604T001315_20210605T100000_0179_072_273_1440_MAR_O_NT_003", True),
        ("S3A_OL_2_WFR____20210604T001016_20210604T001316_20210604T030000_0179_072_273_1440_MAR_O_NT_003", "S3A_OL_2_WFR____20210604T001316_20210604T001616_20210604T030000_0179_072_273_1620_MAR_O_NT_003", False),
        ("S3A_OL_1_EFR____20210604T001016_20210604T001316_20210604T030000_0179_072_273_1440_MAR_O_NT_003", "S3A_OL_2_WFR____20210604T001016_20210604T001316_20210604T030000_0179_072_273_1440_MAR_O_NT_003", False),
        ("LC08_L2SP_028030_20200114_02_T1", "LC08_L2SP_028030_20200114_20200824_02_T1_SR", True),
        ("LC08_L2SP_028030_20200114_02_T1", "LC08_L2SP_028030_20200114_20200824_02_T1_ST", False),
        ("LC08_L2SP_028030_20200114_02_T1", "LC08_L1TP_028030_20200114_20200824_02_T1", False),
        ("LC08_L1TP_028030_20200114_20200114_02_RT", "LC08_L1TP_028030_20200114_20200824_02_T1", True),
        ("S2B_MSIL2A_20200705T101559_R065_T32TMT_20200825T083452", "S2B_MSIL1C_20200705T101559_N0500_R065_T32TMT_20230530T175912", False),
        ("S2B_MSIL2A_20200705T101559_R065_T32TMT_20200825T083452", "S2B_T32TMT_20200705T101559_L2A", True),
        ("S2B_MSIL2A_20200705T101559_R065_T32TMT_20200825T083452", "S2B_MSIL2A_20200705T101559_N0500_R065_T32TMT_20230530T175912.zarr", True),
        ("S2B_MSIL2A_20200705T101559_R065_T32TMT_20200825T083452", "S2B_MSIL2A_20200705T101559_R065_T32TMT_20200825T083452_NDVI", False),
        ("anything", "anything", True),
        ("anything", "else", False),
    ],
)  # fmt: skip
def test_names_of_products(one, other, same):
    assert len(folded(("a", item(one)), ("b", item(other))).rows) == (1 if same else 2)


def test_items_of_other_names_are_the_same_where_time_platform_product_and_outline_agree():
    one = item("x1", "2024-05-01T10:00:00.2Z", platform="PROBA-V", **{"product:type": "L3"})
    other = item("y1", "2024-05-01T10:00:00.7Z", platform="probav", **{"product:type": "l3"})
    shifted = {"type": "Polygon", "coordinates": [[[0.3, 0], [1.3, 0], [1.3, 1], [0.3, 1], [0.3, 0]]]}
    assert len(folded(("a", one), ("b", other)).rows) == 1
    assert len(folded(("a", one), ("a", other)).rows) == 2
    assert len(folded(("a", one), ("b", {**other, "geometry": shifted})).rows) == 2
    assert len(folded(("a", one), ("b", item("y1", "2024-05-01T10:00:00Z", platform="probav"))).rows) == 2
    assert len(folded(("a", item("n", platform="A")), ("b", item("n", platform="B"))).rows) == 2


def test_an_item_that_comes_twice_is_one():
    folding = folded(("a", PC))
    assert folding.add("a", copy.deepcopy(PC), (1,)) is None
    assert len(folding.rows) == 1


def test_rows_and_copies_are_found_by_their_keys_also_when_they_are_packed():
    folding = folded(("a", PC), ("b", CDSE))
    for _ in range(2):
        entry, others = folding.entry("r0")
        assert entry.item == CDSE
        assert [other.item for other in others] == [PC]
        entry, others = folding.entry("i0")
        assert entry.item == PC
        assert [other.key for other in others] == ["i1"]
        folding.pack()
    assert folding.entry("r9") is folding.entry("i9") is None


def test_nothing_of_the_real_items_is_lost_or_folded_wrongly():
    pairs = [(catalogue, one) for catalogue in ("a", "b") for one in REAL.values()]
    folding = folded(*pairs)
    found = [(entry.catalogue, entry.shown["id"]) for row in folding.rows.values() for entry in row.entries]
    assert sorted(found) == sorted((catalogue, one["id"]) for catalogue, one in pairs)
    assert len(folding.rows) == len(REAL) - 3  # PC with CDSE, and two tiles in two baselines
    assert scene_of(REAL["S2A_OPER_MSI_L2A_TL_2APS_20230602T025701_A041483_T01WCQ"]).key == (
        "sentinel-2", "S2A", "L2A", "20230602T000611", "01WCQ",
    )  # fmt: skip


def test_a_row_shows_what_the_item_has():
    found = row_of(PC)
    assert found["cloud_cover"] == PC["properties"]["eo:cloud_cover"]
    assert found["start"] == "2020-07-05T10:15:59.024000Z"
    assert found["bbox"] == PC["bbox"]
    assert found["footprint"]["type"] == "Polygon"
    sized = item("x")
    sized["assets"] = {
        "a": {"file:size": 5, "roles": ["data"]},
        "b": {"file:size": 7, "roles": ["metadata"]},
        "c": {"file:size": "9"},
    }
    assert row_of(sized)["bytes"] == 5
    assert row_of(item("x", title=" "))["title"] == "x"


def test_a_scene_that_was_written_round_the_globe_is_drawn_where_it_is():
    found = row_of(REAL["S2A_OPER_MSI_L2A_TL_2APS_20230602T025701_A041483_T01WCQ"])
    west, _, east, _ = found["bbox"]
    assert (east - west) % 360 < 10
    outline = found["footprint"]
    for part in outline["coordinates"]:
        longitudes = [lon for lon, _ in (part if outline["type"] == "Polygon" else part[0])]
        assert max(longitudes) - min(longitudes) < 10


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=8), st.booleans())
def test_the_order_of_rows_is_that_of_the_values_and_survives_json(values, descending):
    found = [order_of(item("x", v=value), (Sort("properties.v", descending=descending),)) for value in values]
    assert [tuple(one) for one in json.loads(json.dumps(found))] == found
    texts = [(one, value) for one, value in zip(found, values, strict=True) if isinstance(value, str)]
    by_unit = sorted(
        (value for _, value in texts),
        key=lambda v: v.encode("utf-16-be", "surrogatepass"),
        reverse=descending,
    )
    if not descending:
        by_unit = sorted(value for _, value in texts)
    assert [value for _, value in sorted(texts, key=lambda pair: pair[0])] == by_unit
    numbers = [value for value in values if isinstance(value, int | float) and abs(value) != float("inf")]
    ordered = [one[1] for one in sorted(found) if one[0] == 0]
    assert ordered == sorted((-n if descending else n) for n in numbers)
    missing = [one[0] for one in sorted(found)]
    assert missing == sorted(missing)
