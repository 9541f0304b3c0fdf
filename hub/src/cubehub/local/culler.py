"""The idle culler, tied to its Hub: ``python -m cubehub.local.culler`` with the culler's own options.

The Hub starts it and does not end it when it is killed itself; each Hub after that would add another.
"""

from __future__ import annotations

import runpy

from cubehub.local.processes import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    runpy.run_module("jupyterhub_idle_culler", run_name="__main__", alter_sys=True)
