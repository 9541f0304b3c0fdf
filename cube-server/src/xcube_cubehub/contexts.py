"""xcube's contexts with the guard inside: every way to a dataset leads through here, whatever the route."""

import logging
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr
from xcube.core.mldataset import MultiLevelDataset
from xcube.server.api import ApiError, Context
from xcube.webapi.auth.api import api as auth_api
from xcube.webapi.auth.context import AuthContext
from xcube.webapi.datasets.api import api as datasets_api
from xcube.webapi.datasets.context import DatasetsContext

from xcube_cubehub import corrections
from xcube_cubehub.access import Policy, current_identity
from xcube_cubehub.metadata import check_documents

log = logging.getLogger(__name__)
Norms = Mapping[tuple[str, str], str]
Stamps = Mapping[str, Hashable]
_SHOWN = (
    "SortValue",
    "Title",
    "Description",
    "GroupTitle",
    "PlaceGroups",
    "Attribution",
    "Variables",
    "AccessControl",
)
"""Of a dataset's configuration what has no part in opening it."""


class Opened:
    """Datasets that one context leaves to the next."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Hashable, Mapping[str, Any], MultiLevelDataset]] = {}
        self.failed: set[str] = set()
        """Those that could not be opened lately: a cube that was just being exchanged can be, a moment later."""

    def get(self, config: Mapping[str, Any], stamp: Hashable) -> MultiLevelDataset | None:
        """The one that was opened for such a configuration, if its stamp is the same."""
        kept = self._kept.get(config["Identifier"])
        same = kept is not None and stamp is not None and kept[:2] == (stamp, _essence(config))
        return kept[2] if kept is not None and same else None

    def put(self, config: Mapping[str, Any], stamp: Hashable, dataset: MultiLevelDataset) -> None:
        """Remember one."""
        self.failed.discard(config["Identifier"])
        self._kept[config["Identifier"]] = stamp, _essence(config), dataset

    def keep(self, names: Collection[str]) -> None:
        """Forget all others."""
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}
        self.failed.intersection_update(names)


def _essence(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _SHOWN}


class GuardedDatasetsContext(DatasetsContext):
    """Shows only the datasets that the current request may see; the others do not exist.

    Parameters
    ----------
    server_ctx : Context
        xcube's server context.
    policy : callable
        Gives the policy in force.
    norms : callable
        Gives the scale of each style (`xcube_cubehub.render.norms`).
    stamps : callable
        Gives by dataset id what changes with each change of what it holds. A dataset that has the same one as when
        it was opened is not opened again: with each day of one cube xcube makes a new context of all.

    Notes
    -----
    All of xcube's routes (tiles, WMTS, time series, statistics, S3, STAC, coverages, volumes, expressions, places)
    find data through this object, so the check here holds for routes that nobody thought of. Identity travels in a
    context variable; without one, only public cubes are seen. A dataset that cannot be opened is left out at start:
    stock xcube answers 500 to every list when one is broken.
    """

    def __init__(
        self,
        server_ctx: Context,
        policy: Callable[[], Policy],
        norms: Callable[[], Norms],
        stamps: Callable[[], Stamps],
        opened: "Opened",
    ) -> None:
        self._policy = policy
        self._norms = norms
        super().__init__(server_ctx)
        everything: list[Mapping[str, Any]] = vars(self)["_dataset_configs"]
        found = stamps()
        self._dataset_configs = [
            config for config in everything if self._opens(config, found.get(config["Identifier"]), opened)
        ]
        opened.keep({config["Identifier"] for config in everything})

    def on_dispose(self) -> None:
        """Keep all: requests that began with this context end with it, and then it goes with them.

        Notes
        -----
        xcube empties it at once when another takes its place. Whoever waits for a thread then is told that there is
        no such dataset.
        """

    def _opens(self, config: Mapping[str, Any], stamp: Hashable, opened: "Opened") -> bool:
        kept = opened.get(config, stamp)
        if kept is not None:
            self._set_dataset_entry((kept, config))
            return True
        try:
            if config.get("FileSystem") == "file":
                check_documents(Path(config["Path"]))
            pyramid = self._open_ml_dataset(config)
            settle_indexes(pyramid.base_dataset)
            if not config.get("Hidden"):
                for level in range(pyramid.num_levels):
                    settle_indexes(pyramid.get_dataset(level))
                _ = pyramid.grid_mapping.crs
        except Exception as error:  # noqa: BLE001 - a damaged cube fails in any way, and must not harm the others
            log.error("dataset %s cannot be opened and is left out: %r", config["Identifier"], error)  # noqa: TRY400
            opened.failed.add(config["Identifier"])
            return False
        opened.put(config, stamp, pyramid)
        self._set_dataset_entry((pyramid, config))
        return True

    def get_dataset_configs(self) -> list[Mapping[str, Any]]:
        """Configurations of the datasets to list for this request, numbered without gaps that would tell of others."""
        policy = self._policy()
        listed = [
            c for c in self._dataset_configs or [] if not c.get("Hidden") and policy.allows(c["Identifier"])
        ]
        return [{**config, "SortValue": number} for number, config in enumerate(listed, 1)]

    def get_dataset_config(self, ds_id: str) -> Mapping[str, Any]:
        """Configuration of a dataset that this request may see.

        Raises
        ------
        ApiError.NotFound
            There is none, or it is not for this person; the answer does not tell which.
        """
        if self._policy().allows(ds_id):
            configs: list[Mapping[str, Any]] = self._dataset_configs or []
            for config in configs:
                if config["Identifier"] == ds_id:
                    return config
        raise _not_found(ds_id)

    def _get_dataset_entry(self, ds_id: str) -> tuple[MultiLevelDataset, Mapping[str, Any]]:
        if not self._policy().allows(ds_id):
            raise _not_found(ds_id)
        entry: tuple[MultiLevelDataset, Mapping[str, Any]] = super()._get_dataset_entry(ds_id)
        return entry

    def _get_cm_styles(self) -> tuple[dict[str, Any], Any]:
        styles, registry = super()._get_cm_styles()
        for (cube, variable), norm in self._norms().items():
            mapping = styles.get(cube, {}).get(variable)
            if mapping is not None:
                mapping["Norm"] = norm
        return styles, registry

    def get_dataset_place_groups(
        self, ds_id: str, base_url: str, load_features: bool = False
    ) -> list[dict[str, Any]]:
        """Place groups of one dataset.

        Notes
        -----
        xcube finds cached groups by the prefix of an id, so ``olci-water-quality`` would get (and show) those of
        ``olci-water-quality-demo``. Here they are looked up by name each time.
        """
        groups: list[dict[str, Any]] = self.places_ctx.load_place_groups(
            self.get_dataset_config(ds_id).get("PlaceGroups", []),
            base_url,
            is_global=False,
            load_features=load_features,
            qualifiers=[ds_id],
        )
        return groups


class GuardedAuthContext(AuthContext):
    """Answers from the identity that the request handler has verified, instead of fetching keys and decoding again."""

    def get_granted_scopes(self, request_headers: Mapping[str, str]) -> set[str] | None:
        """Permissions of the current request; None for a visitor."""
        del request_headers
        identity = current_identity.get()
        return None if identity is None else set(identity.permissions)


def settle_indexes(dataset: xr.Dataset) -> None:
    """Have pandas find out now whether each coordinate is sorted and unique, before threads share it.

    Notes
    -----
    pandas does so at the first look-up, and not safely: while one thread does it, a look-up by another takes the index
    for one with duplicates and raises `InvalidIndexError`. The first tiles after a start come several at once, so one
    of them was a 500 now and then.
    """
    for name in dataset.indexes:
        index = dataset.indexes[name]
        if len(index):
            index.get_indexer(index[:1], method="nearest")


def _not_found(ds_id: str) -> Exception:
    error: Exception = ApiError.NotFound(f'Dataset "{ds_id}" not found')
    return error


def install(
    policy: Callable[[], Policy],
    norms: Callable[[], Norms],
    near_empty: corrections.NearEmpty,
    stamps: Callable[[], Stamps],
) -> Opened:
    """Make xcube create our contexts; what they open. xcube's API objects are module globals, so this holds for the process."""
    opened = Opened()
    corrections.install(near_empty)
    datasets_api._create_ctx = partial(  # noqa: SLF001
        GuardedDatasetsContext, policy=policy, norms=norms, stamps=stamps, opened=opened
    )
    auth_api._create_ctx = GuardedAuthContext  # noqa: SLF001
    return opened
