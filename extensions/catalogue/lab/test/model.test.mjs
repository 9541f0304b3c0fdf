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
        return { version: stored.version };
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
      schema: async (of, id, collections) => {
        assert.equal(of, 'queryables');
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

test('that the saved file was broken stays told until somebody has read it', async () => {
  const { Refusal } = await import('../lib/trouble.js');
  const problem = { code: 'saved_broken', message: 'It was broken.', hint: 'It was kept.' };
  const answers = [{ saved: { searches: [], favourites: [], cart: [], problem }, version: '"1"' }];
  let refuse = true;
  const model = new CatalogueModel(
    requests({
      saved: async () => answers.shift() ?? { saved: { searches: [], favourites: [], cart: [] }, version: '"2"' },
      save: async saved => {
        assert.ok(!('problem' in saved));
        if (refuse) {
          refuse = false;
          throw new Refusal({ ...problem, message: 'Broken meanwhile.' }, 412);
        }
        return { version: '"3"' };
      }
    })
  );
  await model.load();
  assert.equal(model.savedProblem.message, 'It was broken.');
  await model.loadSaved(); // mended, so that the server says nothing any more
  assert.equal(model.savedProblem.message, 'It was broken.');
  model.forgetProblem();
  assert.equal(model.savedProblem, null);
  await model.change(saved => saved);
  assert.equal(model.savedProblem.message, 'Broken meanwhile.');
  assert.equal(model.savedTrouble, null);
});

test('items that are looked for and are no longer there are remembered, and found ones are not', async () => {
  const items = ['1', '2'].map(id => ({ catalogue: 'a', collection: 'c', id, title: id }));
  const rows = [[row('1')], [row('1'), row('2')]];
  let ends = true;
  const model = new CatalogueModel(
    requests({
      async *search() {
        yield { event: 'search', search: 's' };
        yield { event: 'asking', catalogue: 'a' };
        yield { event: 'rows', rows: rows.shift() ?? [] };
        if (ends) {
          yield { event: 'answered', catalogue: 'a', count: 1, matched: null, more: false, ignored: [], took_ms: 1 };
          yield { event: 'end', more: false };
        }
      }
    })
  );
  await model.load();
  await model.searchItems(items);
  assert.deepEqual(items.map(one => model.isGone(one)), [false, true]);
  assert.equal(model.lookedFor, items);
  await model.searchItems(items);
  assert.deepEqual(model.gone, []);
  ends = false; // an answer that broke off says nothing of what is not in it
  await model.searchItems(items);
  assert.deepEqual(model.gone, []);
  ends = true;
  await model.search();
  assert.equal(model.lookedFor, null);
});

test('the size of an area is known as long as it is that area', async () => {
  const aoi = { type: 'Polygon', coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] };
  const model = new CatalogueModel(requests({ aoi: async () => ({ aoi, area_km2: 12.5 }) }));
  await model.area({ box: [0, 0, 1, 1] });
  assert.deepEqual([model.form.aoi, model.areaKm2], [aoi, 12.5]);
  model.set({ text: 'x' });
  assert.equal(model.areaKm2, 12.5);
  model.set({ aoi: null });
  assert.equal(model.areaKm2, null);
});

test('what is meant has another text whenever it is another', async () => {
  const model = new CatalogueModel(requests());
  model.results.take({ event: 'rows', rows: [row('1'), row('2')] });
  const texts = [model.meaning];
  for (const step of [() => model.activate('1'), () => model.pick('1'), () => model.pickAll(model.results.rows), () => model.pick('2')]) {
    step();
    texts.push(model.meaning);
  }
  assert.equal(new Set(texts).size, texts.length);
  model.activate('2');
  assert.equal(model.meaning, texts.at(-1)); // the picked ones are meant, whatever is looked at
  assert.deepEqual([...model.selected], ['1']);
});

test('what came after the person chose is chosen, what was left out is not', async () => {
  const lists = [['a', 'b'], ['a', 'b', 'new']];
  const model = new CatalogueModel(requests({
    catalogues: async () => ({ catalogues: lists.shift().map(id => ({ id, title: id, collections: [] })), tiles: '', user_catalogues: true })
  }));
  await model.load();
  assert.ok(model.loaded);
  model.set({ catalogues: ['b'] });
  await model.load();
  assert.deepEqual(model.chosen, ['b', 'new']);
  // of a page before, which had seen a and one that is gone
  model.set({ catalogues: ['a'] });
  model.tickNew(['a', 'b', 'gone']);
  assert.deepEqual(model.chosen, ['a', 'new']);
  assert.deepEqual(model.seen, ['a', 'b', 'gone', 'new']);
});

test('what was stopped has not failed, and a time that is none leaves no list of another', async () => {
  const model = new CatalogueModel(requests({
    async *search(catalogues, query, signal) {
      yield { event: 'search', search: 's' };
      yield { event: 'asking', catalogue: 'a' };
      yield { event: 'rows', rows: [row('one')] };
      yield { event: 'answered', catalogue: 'b', count: 1, matched: 1, more: false, ignored: [], took_ms: 1 };
      await new Promise(resolve => signal.addEventListener('abort', resolve));
    }
  }));
  await model.load();
  const arrived = new Promise(resolve => model.changed.connect(() => model.results.answers.get('b') && resolve()));
  const following = model.search();
  await arrived;
  model.stop();
  await following;
  assert.equal(model.results.answers.get('a').state, 'stopped');
  assert.equal(model.results.rows.length, 1);
  model.forgetResults();
  assert.equal(model.results.rows.length, 0);
  assert.equal(model.asked, null);
  assert.equal(model.results.running, false);
});

test('an area is added to the one that is set, when asked to', async () => {
  const asked = [];
  const aoi = async said => {
    asked.push(said);
    return { aoi: { type: 'Polygon', coordinates: [[[asked.length, 0]]] }, area_km2: asked.length };
  };
  const model = new CatalogueModel(requests({ aoi }));
  await model.area({ box: [0, 0, 1, 1] }, true); // to nothing: it is the only one
  await model.area({ box: [2, 2, 3, 3] }, true);
  assert.deepEqual(JSON.parse(asked[2].text), {
    type: 'GeometryCollection',
    geometries: [{ type: 'Polygon', coordinates: [[[1, 0]]] }, { type: 'Polygon', coordinates: [[[2, 0]]] }]
  });
  assert.deepEqual([model.form.aoi.coordinates[0][0][0], model.areaKm2], [3, 3]);
  await model.area({ box: [4, 4, 5, 5] });
  assert.deepEqual([asked.length, model.form.aoi.coordinates[0][0][0]], [4, 4]);
});

/** A server of pages; `answers` says what each request for one gives. */
async function paged(answers) {
  const asked = [];
  const model = new CatalogueModel(requests({
    async *search(catalogues, query) {
      asked.push(['search', catalogues, query.text]);
      yield { event: 'search', search: `s${asked.length}` };
      yield { event: 'rows', rows: [row(`r${asked.length}`)] };
      yield { event: 'end', more: true };
    },
    async *more(search, signal) {
      asked.push(['more', search]);
      yield* answers.shift()?.(signal) ?? [];
    }
  }));
  await model.load();
  // what the list does at each of its drawings
  model.changed.connect(() => asked.length < 20 && void model.more());
  return { model, asked };
}

const whole = async function* () {
  yield { event: 'end', more: false };
};

test('a next page that fails is asked for again by the person only', async () => {
  const { Refusal } = await import('../lib/trouble.js');
  const fail = status => async function* () {
    throw new Refusal({ code: 'x', message: `It answered ${status}.`, hint: '' }, status);
  };
  const { model, asked } = await paged([fail(502), whole]);
  await model.search();
  await settled();
  assert.deepEqual([asked.length, model.trouble.message], [2, 'It answered 502.']);
  await model.again();
  assert.deepEqual([asked.at(-1), model.trouble, model.results.more], [['more', 's1'], null, false]);

  // the server forgot the search: it is begun anew, with what was asked and not with what the form says by now
  const other = await paged([fail(404), whole]);
  other.model.set({ text: 'lake' });
  await other.model.search();
  await settled();
  other.model.set({ text: 'sea' });
  assert.equal(other.asked.length, 2);
  await other.model.again();
  await settled();
  assert.deepEqual(other.asked.slice(2), [['search', ['a', 'b'], 'lake'], ['more', 's3']]);
});

test('an answer that breaks off is told, and not asked for without end', async () => {
  const { model, asked } = await paged([]);
  await model.search();
  await settled();
  assert.deepEqual([asked.length, model.trouble.code], [2, 'broken_off']);
});

test('who stops is not overruled by the list, and may go on', async () => {
  const hang = async function* (signal) {
    await new Promise(resolve => signal.addEventListener('abort', resolve));
  };
  const { model, asked } = await paged([hang, whole]);
  await model.search();
  await settled();
  assert.ok(model.results.running);
  model.stop();
  await settled();
  assert.deepEqual([asked.length, model.halted, model.results.more, model.trouble], [2, true, true, null]);
  await model.goOn();
  assert.deepEqual([asked.length, model.halted, model.results.more], [3, false, false]);
});

test('areas come one after the other, and none after the person set another', async () => {
  const waiting = [];
  const asked = [];
  const aoi = said => new Promise(resolve => {
    asked.push(said);
    waiting.push(number => resolve({ aoi: { type: 'Polygon', coordinates: [[[number, 0]]] }, area_km2: number }));
  });
  const searched = [];
  const model = new CatalogueModel(requests({
    aoi,
    async *search(catalogues, query) {
      searched.push(query.aoi);
      yield { event: 'end', more: false };
    }
  }));
  await model.load();
  const [first, second] = [model.area({ box: [0, 0, 1, 1] }, true), model.area({ box: [2, 2, 3, 3] }, true)];
  const search = model.search();
  for (const number of [1, 2, 3]) {
    await settled();
    assert.deepEqual([waiting.length, searched.length], [1, 0]);
    waiting.shift()(number);
  }
  await Promise.all([first, second, search]);
  assert.deepEqual(JSON.parse(asked[2].text).geometries.map(one => one.coordinates[0][0][0]), [1, 2]);
  assert.deepEqual([searched, model.areaKm2], [[model.form.aoi], 3]);

  const late = model.area({ box: [4, 4, 5, 5] });
  const never = model.area({ box: [6, 6, 7, 7] });
  await settled();
  model.set({ aoi: null }); // Everywhere
  waiting.shift()(4);
  assert.deepEqual([await late, await never, model.form.aoi, asked.length], [null, null, null, 4]);
});

test('items of which none can be asked for are no search for everything', async () => {
  const model = new CatalogueModel(requests({ search: () => assert.fail('asked') }));
  await model.load();
  await model.searchItems([{ catalogue: 'a', collection: null, id: 'two\nlines', title: 't' }]);
  assert.deepEqual([model.trouble.code, model.asked, model.results.rows.length, model.results.running], ['bad_ids', null, 0, false]);
});

test('a catalogue without rules hides the collections of no other', async () => {
  const model = new CatalogueModel(requests({ collections: async id => [{ id, keywords: 5 }, null] }));
  assert.deepEqual((await model.collections('a')).map(one => [one.id, one.keywords]), [['a', []]]);
});

test('of the filters that are set the server is asked what nobody knows, with the names that the catalogues have', async () => {
  const asked = [];
  const model = new CatalogueModel(requests({
    schema: async (of, id) => ({ properties: { [`of:${id}`]: { type: 'number', description: 'long' } } }),
    filterWarnings: async (rows, queryables) => {
      asked.push([rows, queryables]);
      return ['x is not among them.'];
    }
  }));
  await model.load();
  assert.deepEqual([await model.filterWarnings(), asked], [[], []]);
  model.set({ set: { 'of:a': { least: 1, most: 2 }, x: { is: 'y' }, z: { is: '' } } });
  assert.deepEqual(await model.filterWarnings(), ['x is not among them.']);
  assert.deepEqual(asked, [[
    [{ property: 'of:a', op: '>=', value: 1 }, { property: 'of:a', op: '<=', value: 2 }, { property: 'x', op: '=', value: 'y' }],
    { properties: { 'of:a': {}, 'of:b': {} } }
  ]]);
});

/** All that can run without an answer from outside has run. */
function settled() {
  return new Promise(resolve => setImmediate(resolve));
}
