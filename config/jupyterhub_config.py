# The Hub of CubeHub. `configure` sets what CubeHub is about: Keycloak as the one account, RAM by group,
# the doors (cubes, catalogue, Dask Gateway, console) under one address, the idle culler.
# Everything after it is yours: any trait of JupyterHub may be set or changed below.
from cubehub import configure

configure(c)
