"""Which scenes make which step, and why others do not. Pure: no file is opened here."""

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from xcube_cubehub.cubegrid import Area, CubeGrid
from xcube_cubehub.making.spec import GridSpec, RecipeFile, TimeSpec
from xcube_cubehub.sources.model import Found, SceneHandle, skipped
from xcube_cubehub.steps import Plan, PlannedStep, ReportLine, TimeRange, fingerprint_of

DAY = np.timedelta64(1, "D")


def grid_for(spec: GridSpec, area: Area) -> CubeGrid:
    """The grid of a recipe over an area.

    Raises
    ------
    BadInputError
        See `CubeGrid.covering`.
    """
    return CubeGrid.covering(area, utm_of(area) if spec.crs == "utm" else spec.crs, spec.resolution)


def utm_of(area: Area) -> str:
    """The UTM zone in which the middle of an area lies (without the exceptions of Norway and Svalbard)."""
    west, south, east, north = area.unwrapped
    lon = ((west + east) / 2 + 180) % 360
    return f"EPSG:{326 if south + north >= 0 else 327}{min(int(lon // 6) + 1, 60):02d}"


def label_of(sensing: np.datetime64, lon: float, spec: TimeSpec) -> np.datetime64:
    """The step in which a scene falls, by its first day.

    Parameters
    ----------
    sensing : datetime64[s]
        UTC.
    lon : float
        Of the middle of the area: days are solar days there, so that one pass never falls into two of them.
    spec : TimeSpec
        Length of a step, and a day on which one begins.

    Returns
    -------
    datetime64[s]
        Midnight of that day.
    """
    shift = np.timedelta64(round(((lon + 180) % 360 - 180) * 240), "s")
    anchor = np.datetime64(spec.anchor.isoformat(), "s")
    days = math.floor((sensing + shift - anchor) / DAY)
    label: np.datetime64 = anchor + spec.period_days * (days // spec.period_days) * np.timedelta64(86400, "s")
    return label


def make_plan(
    recipe: RecipeFile, recipe_digest: str, found: Found, area: Area, time: TimeRange, now: np.datetime64
) -> Plan:
    """A plan over what a source gave.

    Notes
    -----
    Scenes are dropped in this order: of another kind, from the future, outside the time, outside the area, without
    a needed file, in another projection where these are kept apart; then of two that show the same the lower rank.
    """
    grid = grid_for(recipe.grid, area)
    report, usable = list(found.report), []
    for scene in found.scenes:
        reason = _reason_against(scene, recipe, grid, area, time, now)
        if reason:
            report.append(skipped(scene.name, reason))
        else:
            usable.append(scene)
    steps: dict[np.datetime64, list[SceneHandle]] = defaultdict(list)
    middle = (area.unwrapped[0] + area.unwrapped[2]) / 2
    for best, others in without_duplicates(usable):
        label = label_of(best.ref.sensing, middle, recipe.time)
        steps[label].append(best)
        report.append(ReportLine(best.name, "used", f"in the step of {label.astype('datetime64[D]')}"))
        report += [ReportLine(other.name, "replaced", _lost(other, best)) for other in others]
    planned = []
    for label in sorted(steps):
        scenes = tuple(sorted(steps[label], key=lambda scene: _order(scene, recipe.combine.prefer)))
        planned.append(PlannedStep(label, scenes, fingerprint_of(scenes, recipe_digest, grid)))
    variables = tuple(variable.spec(name) for name, variable in recipe.variables.items())
    return Plan(grid, variables, tuple(planned), tuple(report))


def _reason_against(
    scene: SceneHandle, recipe: RecipeFile, grid: CubeGrid, area: Area, time: TimeRange, now: np.datetime64
) -> str:
    if scene.kind != recipe.kind:
        return f"of kind {scene.kind}, and the recipe is for {recipe.kind}"
    if scene.ref.sensing > now:
        return f"from the future: sensed {scene.ref.sensing}Z, and it is {now}Z"
    if scene.ref.sensing not in time:
        return "outside the time"
    if scene.bounds is not None and not area.touches(*scene.bounds):
        return "outside the area"
    if recipe.grid.zones == "keep" and scene.crs and scene.crs != grid.crs:
        return f"in another projection, {scene.crs[:40]}, and the cube keeps to {grid.crs[:40]}"
    return _missing(scene, recipe)


def _missing(scene: SceneHandle, recipe: RecipeFile) -> str:
    """What a scene lacks, as far as its names and sizes tell."""
    if scene.kind == "olci-c2rcc":
        return ""
    needed = {}
    for name, band in recipe.bands.items():
        if not band.optional:
            choices = (band.variables or (name,)) if scene.kind == "cube" else (band.asset or name,)
            needed[name] = choices
    if scene.kind == "s3-olci-wfr":
        needed["geolocation"] = ("geo_coordinates",)
    for choices in needed.values():
        asset = next((scene.assets[choice] for choice in choices if choice in scene.assets), None)
        if asset is None:
            return f"it has no {' or '.join(choices)}"
        if asset.problem:
            return asset.problem
    return ""


def without_duplicates(scenes: Iterable[SceneHandle]) -> list[tuple[SceneHandle, list[SceneHandle]]]:
    """The best scene of each key, with those that it replaces.

    Notes
    -----
    The highest rank wins: the newest processing baseline, then the better timeliness, then the later production;
    between equals the id decides, so that the outcome does not depend on the order in which scenes were found.
    A key whose last part is empty (a provider that does not tell the data strip) joins the one key that completes it.
    """
    groups: dict[str, list[SceneHandle]] = defaultdict(list)
    for scene in scenes:
        groups[scene.key].append(scene)
    for key in [key for key in groups if key.endswith(" ")]:
        full = [other for other in groups if other != key and other.startswith(key)]
        if len(full) == 1:
            groups[full[0]] += groups.pop(key)
    chosen = []
    for group in groups.values():
        ranked = sorted(group, key=lambda scene: (scene.rank, scene.name), reverse=True)
        chosen.append((ranked[0], ranked[1:]))
    return sorted(chosen, key=lambda pair: (pair[0].ref.sensing, pair[0].name))


def _lost(other: SceneHandle, best: SceneHandle) -> str:
    if other.ref.version != best.ref.version:
        return (
            f"duplicate of {best.name}: its newer baseline {best.ref.version} wins over {other.ref.version}"
        )
    return f"duplicate of {best.name}, which was produced later or from better inputs"


def _order(scene: SceneHandle, prefer: str) -> tuple[float, float, str]:
    cover = 101.0 if scene.cloud_cover is None else scene.cloud_cover
    age = -float(scene.ref.sensing.astype("datetime64[s]").astype(np.int64))
    return (cover, age, scene.name) if prefer == "clearest" else (age, cover, scene.name)
