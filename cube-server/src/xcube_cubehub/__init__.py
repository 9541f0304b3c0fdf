"""CubeHub's cubes: recipes that build them and an xcube server that guards them."""

__version__ = "0.1.0"
__all__ = ["__version__"]
