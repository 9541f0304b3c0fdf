import assert from 'node:assert/strict';
import test from 'node:test';

import { filled, ground, world } from './world.mjs';

const lines = {
  land: ground.land.coordinates.flat(),
  lakes: ground.lakes.coordinates.flat(),
  coasts: ground.coasts.coordinates,
  borders: ground.borders.coordinates
};

for (const [name, rings] of Object.entries(lines)) {
  test(`no edge of the ${name} goes across the world, and none leaves it`, () => {
    assert.ok(rings.length > 100);
    for (const ring of rings) {
      ring.forEach(([lon, lat], at) => {
        assert.ok(Math.abs(lon) <= 180 && Math.abs(lat) <= 90, `${lon} ${lat}`);
        assert.ok(!at || Math.abs(lon - ring[at - 1][0]) <= 180, `${ring[at - 1]} to ${lon} ${lat}`);
      });
    }
  });
}

test('land is where land is, on both sides of 180° too', () => {
  const land = {
    'Estonia': [25.5, 58.9], 'Scandinavia': [15, 65], 'Chukotka, east': [178, 67.5], 'Chukotka, west': [-175, 66.8],
    'Wrangel, east': [179.5, 71.2], 'Wrangel, west': [-179, 71.2], 'Vanua Levu': [179.2, -16.6], 'South Pole': [0, -89.9],
    'Antarctica, at the edge': [-179.9, -86], 'and at the other': [179.9, -86], 'Alaska': [-150, 67]
  };
  const sea = {
    'Norwegian Sea': [0, 67], 'Barents Sea': [40, 71.2], 'Bering Strait': [-169, 65.8], 'Chukchi Sea': [-179.9, 69.8],
    'Pacific': [180, 0], 'Ross Sea': [180, -75], 'Caspian Sea': [50.5, 42], 'Greenland Sea': [-10, 71.3], 'Gulf of Finland': [26, 59.8]
  };
  for (const [name, place] of Object.entries(land)) {
    assert.ok(filled(lines.land, place), name);
  }
  for (const [name, place] of Object.entries(sea)) {
    assert.ok(!filled(lines.land, place), name);
  }
});

test('lakes are there, each once', () => {
  const lakes = {
    Peipsi: [27.5, 58.7], Pihkva: [28, 58.05], Ladoga: [31.5, 61], Baikal: [108, 53.6], Tanganyika: [29.5, -6.5], Balkhash: [75, 46.5]
  };
  for (const [name, place] of Object.entries(lakes)) {
    assert.ok(filled(lines.lakes, place), name);
  }
  assert.equal(ground.lakes.coordinates.length, world.objects.lakes.geometries.length + 2); // the last two of these
  assert.ok(!filled(lines.lakes, [26.7, 58.37]), 'Tartu');
});

test('borders are those between two countries, not coasts', () => {
  const near = ([x, y], by) => lines.borders.some(line => line.some(([lon, lat]) => Math.abs(lon - x) < by && Math.abs(lat - y) < by));
  assert.ok(near([26, 57.8], 0.3)); // Estonia and Latvia
  assert.ok(!near([24, 59.3], 0.3)); // Estonia's coast in the north
});
