"""From scenes to steps: what a recipe file says (`spec`), which scenes make which step (`planning`), and the making."""

from xcube_cubehub.making.engine import FileRecipe, load_recipe, shipped_recipes
from xcube_cubehub.making.spec import RecipeFile

__all__ = ["FileRecipe", "RecipeFile", "load_recipe", "shipped_recipes"]
