import assert from 'node:assert/strict';
import test from 'node:test';

import { LAKES, placeNamed, SEAS } from '../lib/places.js';
import { filled, ground } from './world.mjs';

const { lakes, land } = ground;

test('each lake lies in a lake of its own, all of which the map shows', () => {
  const used = new Set();
  for (const { names, lon, lat, zoom } of LAKES) {
    const found = lakes.coordinates.find(rings => filled(rings, [lon, lat]));
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
    assert.ok(!filled(rings, [lon, lat]), names[0]);
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
