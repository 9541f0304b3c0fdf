"""What a recipe file may say, and what is said where it says something else."""

import json

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xcube_cubehub.errors import RecipeError
from xcube_cubehub.flags import C2RCC_REJECT, QUALITY_REJECT
from xcube_cubehub.making import RecipeFile, load_recipe, shipped_recipes
from xcube_cubehub.making.spec import parse_recipe

MINIMAL = """
name: test
version: 1
title: A test
description: A test
attribution: nobody
license: CC0-1.0
kind: s2-l2a
bands: {B04: {}, B08: {}, SCL: {kind: class}}
grid: {crs: "EPSG:32633", resolution: 20}
mask: [{band: SCL, keep: [4]}]
variables:
  ndvi: {expression: (B08 - B04) / (B08 + B04), long_name: NDVI, units: "1"}
"""


def changed(**changes):
    document = yaml.safe_load(MINIMAL)
    for path, value in changes.items():
        *way, last = path.split("__")
        place = document
        for part in way:
            place = place[part]
        place[last] = value
    return yaml.safe_dump(document)


def test_the_shipped_recipes_are_valid_by_their_schema():
    recipes = shipped_recipes()
    assert set(recipes) >= {"msi-ndvi", "olci-water-quality", "olci-water-quality-c2rcc"}
    schema = RecipeFile.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, recipe in recipes.items():
        assert name == recipe.name
        jsonschema.validate(json.loads(recipe.spec.model_dump_json(exclude_none=True)), schema)


def test_the_c2rcc_recipe_and_the_rule_of_the_shipped_cube_agree():
    masks = {mask.band: mask for mask in load_recipe("olci-water-quality-c2rcc").spec.mask}
    assert masks["c2rcc_flags"].any_of == ("Valid_PE",)
    assert set(masks["c2rcc_flags"].none_of) == set(C2RCC_REJECT)
    assert set(masks["quality_flags"].none_of) == set(QUALITY_REJECT)


def test_the_water_recipe_has_the_recommended_flags():
    """Against SNAP's WQSF_CHL_NN_RECOM and WQSF_CHL_OC4ME_RECOM, written down here a second time."""
    spec = load_recipe("olci-water-quality").spec
    common = {
        "CLOUD",
        "CLOUD_AMBIGUOUS",
        "CLOUD_MARGIN",
        "INVALID",
        "COSMETIC",
        "SATURATED",
        "SUSPECT",
        "HISOLZEN",
    }
    assert set(spec.mask[0].none_of) == common | {"HIGHGLINT", "SNOW_ICE"}
    assert set(spec.mask[0].any_of) == {"WATER", "INLAND_WATER"}
    chain = {"AC_FAIL", "WHITECAPS", "ADJAC", *(f"RWNEG_O{band}" for band in range(2, 9))}
    flags = {name: set(variable.mask[0].none_of) for name, variable in spec.variables.items()}
    assert flags == {
        "chl_nn": {"OCNN_FAIL"},
        "tsm_nn": {"OCNN_FAIL"},
        "chl_oc4me": chain | {"OC4ME_FAIL"},
        "kd490": chain | {"KDM_FAIL"},
    }


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(MINIMAL)
    recipe = load_recipe(path)
    assert recipe.name == "test"
    other = recipe.with_grid("utm", 60)
    assert other.spec.grid.resolution == 60
    assert other.digest != recipe.digest
    assert parse_recipe(changed(title="Other words"), "x").title == "Other words"


def test_words_for_people_change_no_values():
    from xcube_cubehub.making import FileRecipe

    digests = {FileRecipe(parse_recipe(text, "x")).digest for text in (MINIMAL, changed(title="Other words"))}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": "red"}, "colour"),
        ({"name": "../x"}, "name"),
        ({"version": 0}, "version"),
        ({"kind": "s9"}, "kind"),
        ({"grid__crs": "EPSG:0"}, "grid.crs"),
        ({"grid__resolution": -1}, "grid.resolution"),
        ({"variables__ndvi__expression": "B99 + 1"}, "B99"),
        ({"variables__ndvi__expression": "__import__('os')"}, "expression"),
        ({"mask": [{"band": "SCL"}]}, "says nothing"),
        ({"mask": [{"band": "CLD", "keep": [1]}]}, "CLD"),
        ({"mask": [{"band": "SCL", "none_of": ["CLOUD"]}]}, "flags"),
        ({"mask": [{"band": "SCL", "keep": [1], "drop": [2]}]}, "both"),
        ({"variables": {}}, "variables"),
        ({"variables__ndvi__scale_factor": 0}, "scale_factor"),
    ],
)
def test_what_is_wrong_is_named(changes, said):
    with pytest.raises(RecipeError, match=said):
        parse_recipe(changed(**changes), "own.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: [",
        "\0",
        "a: &x [1]\nb: *x",
        "!!python/object/apply:os.system [true]",
        "x" * 300_000,
        b"\xff\xfe\x00",
        "[" * 5000,
    ],
)
def test_what_is_no_recipe_is_an_error_of_ours(text):
    with pytest.raises(RecipeError):
        parse_recipe(text, "own.yaml")


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_bytes_end_in_an_answer(text):
    with pytest.raises(RecipeError):
        parse_recipe(text, "own.yaml")


def test_a_missing_recipe_names_those_there_are():
    with pytest.raises(RecipeError) as caught:
        load_recipe("nothing")
    assert "msi-ndvi" in caught.value.hint
