import assert from 'node:assert/strict';
import test from 'node:test';

import { across, bounds } from '../lib/bounds.js';
import { formatBytes } from '../lib/bytes.js';
import { fieldsOf, filterOf } from '../lib/filters.js';
import { carriesSearch, EMPTY, formFrom, formOf, linkOf, outlineOf, queryOf, searchFrom, searchIn } from '../lib/form.js';
import { moment, shown, span } from '../lib/times.js';
import { unquoted } from '../lib/variable.js';

test('a day, a month and a year are whole at both ends, in UTC', () => {
  assert.equal(moment('2024-05-03', 'start'), '2024-05-03T00:00:00Z');
  assert.equal(moment('2024-05-03', 'end'), '2024-05-03T23:59:59Z');
  assert.equal(moment('2024-2', 'end'), '2024-02-29T23:59:59Z');
  assert.equal(moment('2023', 'end'), '2023-12-31T23:59:59Z');
  assert.equal(moment('2024-05-03 10:15', 'end'), '2024-05-03T10:15:59Z');
  assert.equal(moment(' 2024-05-03T10:15:30Z ', 'end'), '2024-05-03T10:15:30Z');
  assert.equal(moment('', 'end'), null);
  for (const text of ['yesterday', '2024-13', '2024-02-30', '2024-05-03T24:00', '24-05-03', '2024-05-03T10:60']) {
    assert.throws(() => moment(text, 'start'), RangeError, text);
  }
  assert.equal(shown('2024-05-03T10:15:30.123Z'), '2024-05-03 10:15');
  assert.equal(span('2024-05-03T10:15:30Z', '2024-05-03T10:16:00Z'), '2024-05-03 10:15');
  assert.equal(span('2024-05-01T00:00:00Z', '2024-05-31T23:59:59Z'), '2024-05-01 – 2024-05-31');
  assert.deepEqual([span(null, '2024-05-31T00:00:00Z'), span(null, null)], ['2024-05-31 00:00', '']);
});

const QUERYABLES = {
  properties: {
    id: { type: 'string' },
    datetime: { type: 'string', format: 'date-time' },
    gsd: { type: 'number', minimum: 0 },
    'eo:cloud_cover': {},
    platform: { type: 'string', enum: ['sentinel-2a', 'sentinel-2b'] },
    'proj:shape': { type: 'array' },
    'x:flag': { type: ['boolean', 'null'] },
    'x:name': { title: 'Name', type: 'string' }
  }
};

test('queryables become fields, clouds first, and what one field cannot say is none', () => {
  const fields = fieldsOf(QUERYABLES);
  assert.deepEqual(fields.map(one => [one.name, one.kind]), [
    ['eo:cloud_cover', 'number'], ['platform', 'choice'], ['gsd', 'number'], ['x:name', 'text'], ['x:flag', 'boolean']
  ]);
  assert.deepEqual([fields[0].minimum, fields[0].maximum, fields[0].unit], [0, 100, '%']);
});

test('what is set becomes CQL2, and comes back from it', () => {
  const set = { 'eo:cloud_cover': { most: 20 }, platform: { is: "a'b" }, gsd: { least: 1, most: 10 }, 'x:flag': { is: false } };
  const form = { ...EMPTY, set, start: '2024-05', end: '2024-05-31', collections: { a: ['s2'], b: ['gone'] }, text: ' lake ' };
  const query = queryOf(form, ['a']);
  assert.equal(query.filter.op, 'and');
  assert.equal(query.filter.args.length, 5);
  assert.deepEqual(query.collections, { a: ['s2'] });
  assert.deepEqual([query.start, query.end, query.text], ['2024-05-01T00:00:00Z', '2024-05-31T23:59:59Z', 'lake']);
  const back = formOf(query, ['a']);
  assert.deepEqual(back.set, set);
  assert.equal(back.raw, null);
  assert.deepEqual(queryOf(back, ['a']), query);
  assert.equal(filterOf({}), null);
  assert.deepEqual(filterOf({ a: { is: 1 } }), { op: '=', args: [{ property: 'a' }, 1] });
});

test('a filter that the fields cannot say is kept as it is', () => {
  const raw = { op: 'or', args: [{ op: '=', args: [{ property: 'a' }, 1] }, { op: '=', args: [{ property: 'a' }, 2] }] };
  const form = formOf({ filter: { op: 'and', args: [raw, { op: '<=', args: [{ property: 'c' }, 3] }] } }, []);
  assert.deepEqual([form.raw, form.set], [raw, { c: { most: 3 } }]);
  assert.deepEqual(queryOf(form, []).filter, { op: 'and', args: [{ op: '<=', args: [{ property: 'c' }, 3] }, raw] });
});

test('an end before the start is told', () => {
  assert.throws(() => queryOf({ ...EMPTY, start: '2024-06', end: '2024-05' }, []), RangeError);
});

test('a search goes through a link unchanged, without what else the address had', () => {
  const query = queryOf({ ...EMPTY, text: 'a&b#"ä' }, ['x']);
  const link = linkOf('https://hub.example/user/ana/lab/tree/x?token=secret#old', query, ['x']);
  assert.ok(!link.includes('secret'));
  assert.deepEqual(searchIn(new URL(link).hash), { query, catalogues: ['x'] });
  for (const bad of ['', '#cubehub-search=', '#cubehub-search=%7B', '#cubehub-search=null', '#cubehub-search=%E0%A4%A', '#cubehub-search=5']) {
    assert.equal(searchIn(bad), null);
  }
  assert.equal(searchFrom({ query: 'x' }), null);
});

test('whatever a page before has kept, the form is one', () => {
  for (const kept of [null, 5, [], { catalogues: 5, collections: 'x', aoi: { type: 'Point' }, start: 7, set: 'x', raw: 'y' }]) {
    assert.deepEqual(formFrom(kept), { ...EMPTY, collections: {}, set: {} });
  }
  const form = { ...EMPTY, start: '2024', text: 'x', descending: false, catalogues: ['a'] };
  assert.deepEqual(formFrom(JSON.parse(JSON.stringify(form))), form);
});

test('a link or file of somebody else is a search of the right kinds or none, and the form always one', () => {
  const ring = [[0, 0], [1, 0], [1, 1], [0, 0]];
  let deep = {};
  for (let n = 0; n < 5000; n++) {
    deep = { args: [deep] };
  }
  const hostile = [
    { start: 5 }, { end: {} }, { text: 5 }, { sort: [{ field: {} }] }, { sort: {} }, { sort: [null] }, { collections: { a: null } },
    { collections: { a: [5] } }, { collections: 'x' }, { filter: 'x' }, { filter: [] }, { filter: deep }, { aoi: 5 },
    ...[
      [5], [[5]], [], [[]], [[[0, 0], [1, 0], [0, 0]]], [[[0, 0], [1, null], [1, 1], [0, 0]]], [[[0], [1], [1], [0]]], [[[0, 0], ['1', 0], [1, 1], [0, 0]]],
      [[[0, 0], [1e300, 0], [1, 1], [0, 0]]], [ring, 5]
    ].map(coordinates => ({ aoi: { type: 'Polygon', coordinates } })),
    { aoi: { type: 'MultiPolygon', coordinates: [] } }, { aoi: { type: 'MultiPolygon', coordinates: [ring] } }, { aoi: { type: 'Point', coordinates: [1, 2] } }
  ];
  for (const query of hostile) {
    assert.equal(searchFrom({ query }), null);
    const form = formOf(query, []);
    // what is kept of it, and read by the next page, is as good as an empty one
    assert.deepEqual(formFrom(JSON.parse(JSON.stringify(form))), { ...EMPTY, collections: form.collections });
    assert.doesNotThrow(() => queryOf(form, ['a']));
    assert.ok(Object.values(form.collections).every(ids => ids.every(id => typeof id === 'string')));
  }
  assert.deepEqual(formFrom({ set: { a: 5, b: null, c: { least: 'x' }, d: { is: {} }, e: { most: 3 } }, raw: [], aoi: { type: 'Polygon', coordinates: [5] } }), { ...EMPTY, set: { e: { most: 3 } } });
  for (const aoi of [{ type: 'Polygon', coordinates: [ring] }, { type: 'MultiPolygon', coordinates: [[ring, ring], [ring]] }]) {
    assert.equal(outlineOf(aoi), aoi);
    assert.deepEqual(searchFrom({ query: { aoi, start: null } }), { query: { aoi, start: null }, catalogues: [] });
  }
  assert.equal(formOf({ filter: { op: '=', args: [{ property: '__proto__' }, 1] } }, []).raw.op, '=');
  assert.deepEqual([carriesSearch('#cubehub-search=5'), carriesSearch('#other')], [true, false]);
});

test('the four numbers of an area, also over 180°', () => {
  const ring = (w, s, e, n) => [[[w, s], [e, s], [e, n], [w, n], [w, s]]];
  const polygon = coordinates => ({ type: 'Polygon', coordinates });
  const several = (...coordinates) => ({ type: 'MultiPolygon', coordinates });
  assert.deepEqual(bounds(polygon(ring(27, 58, 28, 59))), [27, 58, 28, 59]);
  assert.deepEqual(bounds(several(ring(170, -20, 180, -10), ring(-180, -20, -175, -10))), [170, -20, -175, -10]);
  assert.deepEqual(bounds(several(ring(1, 2, 3, 4), ring(-5, 0, -4, 1))), [-5, 0, 3, 4]);
  assert.deepEqual(bounds(polygon(ring(-180, -90, 180, 90))), [-180, -90, 180, 90]);
  // past Greenwich, on either side
  assert.deepEqual(bounds(several(ring(-10, 0, 180, 1), ring(-180, 0, -170, 1))), [-10, 0, -170, 1]);
  assert.deepEqual(bounds(several(ring(170, 0, 180, 1), ring(-180, 0, 10, 1))), [170, 0, 10, 1]);
  assert.deepEqual(bounds(several(ring(5, 0, 180, 1), ring(-180, 0, 10, 1))), [-180, 0, 180, 1]);
  assert.deepEqual(across(several(ring(-10, 0, 180, 1), ring(-180, 0, -170, 1))), [-10, 0, 190, 1]);
  assert.equal(across(polygon(ring(-180, -90, 180, 90))), null);
  const corners = Array.from({ length: 300_000 }, (_, n) => [n / 10_000, 1]);
  assert.deepEqual(bounds(polygon([corners])), [0, 1, 29.9999, 1]);
});

test('a Python text is read back', () => {
  const text = JSON.stringify({ a: "it's \\ \"x\"", b: 'ä\n' });
  const ascii = text.replace(/[^\x00-\x7f]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const repr = `'${ascii.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  assert.deepEqual(JSON.parse(unquoted(repr)), JSON.parse(text));
});

test('bytes as a person reads them', () => {
  assert.deepEqual([0, 1023, 1024, 5 * 2 ** 30, 150 * 2 ** 20].map(formatBytes), ['0 B', '1023 B', '1.0 KiB', '5.0 GiB', '150 MiB']);
});
