# ruff: noqa: INP001 - a configuration file, not a module
"""Defaults of every person's server: quiet towards the outside, thrifty, honest about memory.

Shipped inside the environment (``etc/jupyter``), so it holds however the server is started. People override any of it
in ``~/.jupyter``; an operator overrides it with ``c.Spawner.args`` or the environment variables read below.
"""

import os

from jupyter_core.paths import jupyter_runtime_dir

c = get_config()  # noqa: F821

# No outside host: no news, no update check, no listing of extensions from a package index.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# The same for widgets, in the browser: lexcube asks an outside host for its newest version each time a cube is drawn.
# Scripts and widgets may talk to this hub only; images (the tiles of a map somebody chose to add) stay free.
# CUBEHUB_LAB_CONNECT adds origins, `*` all of them.
_connect = os.environ.get("CUBEHUB_LAB_CONNECT", "")
c.ServerApp.tornado_settings = {
    "headers": {
        "Content-Security-Policy": "; ".join(
            [
                "frame-ancestors 'none'",
                f"connect-src 'self' blob: data: {_connect}".rstrip(),
                "font-src 'self' data:",
                "style-src 'self' 'unsafe-inline' blob: data:",
            ]
        )
    }
}
# Bokeh would load its script from an outside host.
os.environ.setdefault("BOKEH_RESOURCES", "inline")

# How long the server takes a person's cookie or token for good without asking the Hub, which asks Keycloak once a
# minute: somebody whose account was switched off should not go on for the stock five. Seconds.
c.HubAuth.cache_max_age = 60

# A kernel's output goes to whoever connects, in clear: over TCP anybody on this machine could read along. As sockets in
# the person's own folder nobody else reaches them; the system bounds their path (108 bytes), the name takes about 50.
if len(jupyter_runtime_dir()) < 56:
    c.KernelManager.transport = "ipc"

# A kernel that needs too much memory is the one to be stopped, not the server: see extensions/account.
c.KernelProvisionerFactory.default_provisioner_name = "cubehub-provisioner"
# A long computation goes on while nobody looks; the Hub's culler ends whole servers that are idle.
c.MappingKernelManager.cull_idle_timeout = 0
# Output made while the browser was away is kept, so that a closed laptop loses nothing.
c.MappingKernelManager.buffer_offline_messages = True

# No language server is installed; looking for twenty of them at each start costs time.
c.LanguageServerManager.autodetect = False
