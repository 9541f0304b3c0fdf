/** Where an area begins and ends. No DOM here. */
import type { Aoi } from './contract.js';

type Box = [w: number, s: number, e: number, n: number];

/** West, south, east, north; west is greater where the area was cut at ±180°. */
export function bounds(aoi: Aoi): Box {
  const boxes = (aoi.type === 'Polygon' ? [aoi.coordinates] : aoi.coordinates).map(([ring]) => boxOf(ring));
  const all = around(boxes);
  const [touching, beyond] = [boxes.filter(box => box[2] >= 180), boxes.filter(box => box[0] <= -180)];
  if (!touching.length || !beyond.length || touching.some(box => beyond.includes(box))) {
    return all;
  }
  // a part is of the side that most of it is on: it may reach past Greenwich
  const isEast = (box: Box): boolean => box[0] + box[2] >= 0;
  const [west, east] = [around(boxes.filter(isEast))[0], around(boxes.filter(box => !isEast(box)))[2]];
  return west > east ? [west, all[1], east, all[3]] : [-180, all[1], 180, all[3]];
}

/** The extent of an area that was cut at ±180°, seen in one piece; null for one that was not. */
export function across(aoi: Aoi): Box | null {
  const [w, s, e, n] = bounds(aoi);
  return w > e ? [w, s, e + 360, n] : null;
}

function boxOf(ring: number[][]): Box {
  return around(ring.map(([lon, lat]): Box => [lon, lat, lon, lat]));
}

/** One by one: a call can't take as many arguments as an outline may have corners. */
function around(boxes: readonly Box[]): Box {
  return boxes.reduce(
    (a, b): Box => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])],
    [Infinity, Infinity, -Infinity, -Infinity] as Box
  );
}
