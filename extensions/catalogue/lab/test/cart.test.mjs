import assert from 'node:assert/strict';
import test from 'node:test';

import { bandsOf, formatOf } from '../lib/bands.js';
import { idsQuery, joined, keyOf, missingOf, MOST, Refinder, whole, without } from '../lib/cart.js';

const item = (id, catalogue = 'a', collection = 'c') => ({ catalogue, collection, id, title: `title of ${id}` });
const row = (id, more = {}) => ({ key: `key-${id}`, order: [id], catalogue: 'a', collection: 'c', id, title: id, copies: [], ...more });

/** Answers of a server: one list of events for each time that it is asked. */
function server(...answers) {
  const asked = [];
  const one = async function* () {
    yield* answers.shift() ?? [];
  };
  return {
    asked,
    search: (catalogues, query) => (asked.push(['search', catalogues, query.ids, query.limit]), one()),
    more: search => (asked.push(['more', search]), one()),
    giveUp: search => asked.push(['giveUp', search])
  };
}

const page = (rows, { search = 's1', more = false, failed = [] } = {}) => [
  ...(search ? [{ event: 'search', search }] : []),
  ...['a', 'b'].map(catalogue => ({ event: 'asking', catalogue })),
  { event: 'rows', rows },
  ...['a', 'b'].map(catalogue =>
    failed.includes(catalogue)
      ? { event: 'failed', catalogue, error: { code: 'timeout', message: 'It hangs.', hint: 'Wait.' } }
      : { event: 'answered', catalogue, count: rows.length, matched: null, more, ignored: [], took_ms: 1 }
  ),
  { event: 'end', more }
];

test('items are asked for by their ids, and in their collections where all have one', () => {
  const { catalogues, query } = idsQuery([item('1'), item('2', 'a', 'd'), item('3', 'b', null), item('4', 'b')]);
  assert.deepEqual(catalogues, ['a', 'b']);
  assert.deepEqual(query.ids, ['1', '2', '3', '4']);
  assert.deepEqual(query.collections, { a: ['c', 'd'] });
  assert.equal(idsQuery(Array.from({ length: 700 }, (_, n) => item(String(n)))).query.limit, MOST);
});

test('an id that the server would refuse does not take the others with it, and none is no search for everything', async () => {
  const bad = ['', 'two\nlines', 'zero\u200bwidth', 'no-break\u00a0space', '\ud800', 'x'.repeat(501), 5, undefined].map(id => item(id, 'b'));
  const { catalogues, query } = idsQuery([...bad, item('S2A 1/ä')]);
  assert.deepEqual([catalogues, query.ids, query.collections], [['a'], ['S2A 1/ä'], { a: ['c'] }]);
  assert.throws(() => idsQuery(bad), /can be asked for these items/);
  const asks = server();
  await assert.rejects(new Refinder(asks).find(bad), /can be asked for these items/);
  assert.deepEqual(asks.asked, []);
});

test('what was emptied is what is not there any more, each once', () => {
  const [one, two, three] = ['1', '2', '3'].map(id => item(id));
  assert.deepEqual(without([one, two], [{ ...two, title: 'renamed' }, three]), [one]);
  assert.deepEqual(joined([one, two], [two, three]), [one, two, three]);
  assert.deepEqual(joined([one], []), [one]);
});

test('what a program kept in the file is shown like what the panel keeps', () => {
  const kept = { catalogue: 'a', item: { id: 'i', collection: 'c', assets: {} } };
  assert.deepEqual(whole(kept), { ...kept, collection: 'c', id: 'i', title: 'i' });
  assert.deepEqual(whole({ catalogue: 'a', id: 'i', title: 7 }), { catalogue: 'a', collection: null, id: 'i', title: 'i' });
  assert.deepEqual(whole(item('1')), item('1'));
});

test('an item is found as a row or as a copy, and never as its namesake elsewhere', () => {
  const rows = [row('1', { copies: [{ key: 'copy', catalogue: 'b', collection: 'x', id: '1' }] })];
  assert.equal(keyOf(item('1'), rows), 'key-1');
  assert.equal(keyOf(item('1', 'b', 'x'), rows), 'copy');
  assert.equal(keyOf(item('1', 'b', null), rows), 'copy');
  assert.equal(keyOf(item('1', 'b', 'other'), rows), null);
  assert.deepEqual(missingOf([item('1'), item('2'), item('3', 'b')], rows, new Set(['b'])), [item('2')]);
});

test('the cart is found over several pages, in its own order; what is gone is named', async () => {
  const asks = server(page([row('1')], { more: true }), page([row('3')], { search: null }));
  const found = await new Refinder(asks).find([item('3'), item('2'), item('1')]);
  assert.deepEqual(found, { search: 's1', keys: ['key-3', 'key-1'], gone: [item('2')], failures: [] });
  assert.deepEqual(asks.asked.map(([what]) => what), ['search', 'more']);
});

test('of a catalogue that fails nobody says that its items are gone, and it is asked again', async () => {
  const asks = server(page([row('1')], { failed: ['b'] }), page([row('1')], { search: 's2' }));
  const refinder = new Refinder(asks);
  const items = [item('1'), item('2', 'b')];
  const first = await refinder.find(items);
  assert.deepEqual([first.gone, first.failures.map(([id]) => id)], [[], ['b']]);
  assert.deepEqual((await refinder.find(items)).gone, [item('2', 'b')]);
});

test('the same cart is not searched twice, another one or an old one is; the searches before are given up', async () => {
  let now = 0;
  const asks = server(...[1, 2, 3, 4].map(n => page([row('1')], { search: `s${n}` })));
  const refinder = new Refinder(asks, () => now);
  assert.equal((await refinder.find([item('1')])).search, 's1');
  assert.equal((await refinder.find([{ ...item('1'), title: 'renamed' }])).search, 's1');
  assert.equal((await refinder.find([item('1'), item('2')])).search, 's2');
  assert.equal((await refinder.find([item('1')])).search, 's3');
  now = 3_600_000;
  assert.equal((await refinder.find([item('1')])).search, 's4');
  refinder.forget();
  await Promise.resolve();
  assert.deepEqual(asks.asked.filter(([what]) => what === 'giveUp').map(([, search]) => search), ['s1', 's2', 's3', 's4']);
});

test('a cart that is too large, and an answer that breaks off, are told and not kept', async () => {
  const refinder = new Refinder(server([], page([row('1')])));
  await assert.rejects(refinder.find(Array.from({ length: MOST + 1 }, (_, n) => item(String(n)))), RangeError);
  await assert.rejects(refinder.find([item('1')]), { message: 'The answer broke off.' });
  assert.deepEqual((await refinder.find([item('1')])).keys, ['key-1']);
});

test('an asset says its bands in either version of STAC, and whatever else it says is left out', () => {
  assert.deepEqual(bandsOf({ href: '', bands: [{ name: 'B04', 'eo:common_name': 'red', data_type: 'uint16' }], gsd: 10 }), ['B04 (red)', 'uint16', '10 m']);
  assert.deepEqual(bandsOf({ href: '', 'eo:bands': [{ name: 'red', common_name: 'red' }, { common_name: 'nir' }], 'raster:bands': [{ data_type: 'int16' }, { data_type: 'int16' }] }), ['red, nir', 'int16']);
  assert.deepEqual(bandsOf({ href: '', bands: [null, 5, { name: 7 }], 'eo:bands': 'x', gsd: '10' }), []);
  assert.equal(bandsOf({ href: '', bands: Array.from({ length: 300 }, (_, n) => ({ name: `b${n}` })) })[0].split(',').length, 12);
});

test('a media type is what people call it, and what nobody knows is left as it is', () => {
  const types = ['image/tiff; application=geotiff; profile=cloud-optimized', 'image/tiff; application=geotiff', 'application/vnd+zarr', 'application/x-foo; a=b', undefined, 5];
  assert.deepEqual(types.map(formatOf), ['COG', 'GeoTIFF', 'Zarr', 'application/x-foo', '', '']);
});
