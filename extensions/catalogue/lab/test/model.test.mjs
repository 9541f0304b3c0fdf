import assert from 'node:assert/strict';
import test from 'node:test';

import { CatalogueModel } from '../lib/model.js';

const row = key => ({ key, order: [key], catalogue: 'a', collection: 'c', id: key, title: key, copies: [] });

function requests(more = {}) {
  return {
    catalogues: async () => ({ catalogues: [{ id: 'a', title: 'A', collections: ['d'] }, { id: 'b', title: 'B', collections: [] }], tiles: '', user_catalogues: false }),
    saved: async () => ({ saved: { searches: [], favourites: [], cart: [] }, version: '"1"' }),
    giveUp: () => undefined,
    ...more
  };
}

test('none chosen asks all, and a catalogue that is gone is not asked', async () => {
  const model = new CatalogueModel(requests());
  await model.load();
  assert.deepEqual(model.chosen, ['a', 'b']);
  model.set({ catalogues: ['b', 'gone'] });
  assert.deepEqual(model.chosen, ['b']);
  model.set({ catalogues: ['gone'] });
  assert.deepEqual(model.chosen, ['a', 'b']);
});

test('a new search stops the one before: its rows never mix', async () => {
  const signals = [];
  let release;
  const model = new CatalogueModel(
    requests({
      async *search(catalogues, query, signal) {
        signals.push(signal);
        if (signals.length === 1) {
          yield { event: 'search', search: 'one' };
          yield { event: 'rows', rows: [row('old')] };
          await new Promise(resolve => (release = resolve));
          yield { event: 'rows', rows: [row('late')] };
        } else {
          yield { event: 'search', search: 'two' };
          yield { event: 'rows', rows: [row('new')] };
          yield { event: 'end', more: false };
        }
      }
    })
  );
  await model.load();
  const first = model.search();
  while (!release) {
    await new Promise(resolve => setTimeout(resolve));
  }
  await model.search();
  release();
  await first;
  assert.ok(signals[0].aborted);
  assert.deepEqual(model.results.rows.map(one => one.key), ['new']);
  assert.equal(model.results.search, 'two');
  assert.equal(model.results.running, false);
});

test('what another page saved in the meantime is not lost', async () => {
  const { Refusal } = await import('../lib/trouble.js');
  const theirs = { searches: [], favourites: [{ catalogue: 'a', collection: null, id: 'theirs', title: 't' }], cart: [] };
  let stored = { saved: { searches: [], favourites: [], cart: [] }, version: '"1"' };
  const model = new CatalogueModel(
    requests({
      saved: async () => structuredClone(stored),
      save: async (saved, version) => {
        if (version !== stored.version) {
          throw new Refusal({ code: 'changed', message: 'x', hint: 'y' }, 412);
        }
        stored = { saved, version: '"3"' };
        return stored.version;
      }
    })
  );
  await model.load();
  stored = { saved: theirs, version: '"2"' };
  const mine = { catalogue: 'a', collection: null, id: 'mine', title: 'm' };
  await model.change(saved => ({ ...saved, favourites: [...saved.favourites, mine] }));
  assert.deepEqual(stored.saved.favourites.map(one => one.id), ['theirs', 'mine']);
  assert.equal(model.savedTrouble, null);
});

test('fields come from what is chosen; a catalogue that fails takes none away', async () => {
  const asked = [];
  const model = new CatalogueModel(
    requests({
      queryables: async (id, collections) => {
        asked.push([id, collections]);
        if (id === 'b') {
          throw new Error('down');
        }
        return { properties: { gsd: { type: 'number' } } };
      }
    })
  );
  await model.load();
  assert.deepEqual((await model.fields()).map(one => one.name), ['gsd']);
  await model.fields();
  assert.deepEqual(asked, [['a', ['d']], ['b', []], ['b', []]]);
});
