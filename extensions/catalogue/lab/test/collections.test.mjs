import assert from 'node:assert/strict';
import test from 'node:test';

import { collectionsIn, extentOf, wordsOf } from '../lib/collections.js';

test('collections of a catalogue that keeps to no rule are still listed', () => {
  const sloppy = [
    { id: 'a', keywords: {} }, { id: 'b', keywords: 5 }, { id: 'c', keywords: ['Sea', null, { toString: 5 }] },
    { id: 'd', extent: { temporal: { interval: [[2015, 2016]] } } }, { id: 'e', extent: { temporal: { interval: [5] } } }, { id: 'f', extent: 5 },
    { id: 'g', title: { toString: 5 }, description: 7, license: [] }, { id: 'h', extent: { temporal: { interval: {} } } },
    null, 5, 'x', {}, { id: 5 }, { id: '' },
    { id: 'z', title: 'Z', description: 'of water', license: 'CC0-1.0', keywords: ['Lake'], extent: { temporal: { interval: [['2015-06-27T00:00:00Z', null]] } } }
  ];
  const found = collectionsIn(sloppy);
  assert.deepEqual(found.map(one => one.id).join(''), 'abcdefghz');
  assert.deepEqual(found.map(extentOf), [...Array(8).fill(''), '2015-06-27 – …']);
  assert.match(wordsOf(found[2]), /sea/);
  assert.match(wordsOf(found[8]), /z z of water lake/i);
  assert.deepEqual([found[6].title, found[6].description, found[6].license, found[8].license], [undefined, undefined, undefined, 'CC0-1.0']);
  for (const answer of [null, undefined, {}, 5, 'x']) {
    assert.deepEqual(collectionsIn(answer), []);
  }
});
