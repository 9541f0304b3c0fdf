"""All recipes by the name of their cube."""

from xcube_cubehub.recipes.demo import ESTONIAN_WATERS, LAKE_PEIPSI
from xcube_cubehub.recipes.model import Made, Recipe
from xcube_cubehub.recipes.ndvi import RECIPE as MSI_NDVI
from xcube_cubehub.recipes.olci import RECIPE as OLCI_WATER_QUALITY

RECIPES = {recipe.name: recipe for recipe in (OLCI_WATER_QUALITY, MSI_NDVI, ESTONIAN_WATERS, LAKE_PEIPSI)}

__all__ = ["RECIPES", "Made", "Recipe"]
