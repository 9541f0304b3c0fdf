"""What xcube finds through the entry point ``xcube_plugins``."""

from xcube.constants import EXTENSION_POINT_SERVER_FRAMEWORKS
from xcube.util.extension import ExtensionRegistry, import_component

FRAMEWORK = "cubehub"


def init_plugin(ext_registry: ExtensionRegistry) -> None:
    """Register our server framework; the launcher asks for it by name."""
    ext_registry.add_extension(
        loader=import_component("xcube_cubehub.framework:GuardedFramework"),
        point=EXTENSION_POINT_SERVER_FRAMEWORKS,
        name=FRAMEWORK,
        description="Tornado with CubeHub's guard on every route",
    )
