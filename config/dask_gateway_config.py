# Dask Gateway's configuration. Its values come from the JSON file that CUBEHUB_GATEWAY_CONFIG names,
# which `cubehub up` writes at every start: addresses, the Hub's API, budgets from profiles.yaml.
from cubehub_gateway import configure

configure(c)

# Anything after this line overrides it, for example: c.ClusterConfig.idle_timeout = 3600
