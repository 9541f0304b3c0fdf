import assert from 'node:assert/strict';
import test from 'node:test';

import { compare, Results } from '../lib/results.js';
import { lines } from '../lib/stream.js';

const row = (key, order, more = {}) => ({ key, order, catalogue: 'a', collection: 'c', id: key, title: key, copies: [], ...more });

function streamOf(...chunks) {
  return new ReadableStream({
    start(controller) {
      chunks.forEach(chunk => controller.enqueue(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk));
      controller.close();
    }
  });
}

async function all(stream) {
  const got = [];
  for await (const one of lines(stream)) {
    got.push(one);
  }
  return got;
}

test('lines that the network cuts, even within a letter, are read whole', async () => {
  const bytes = new TextEncoder().encode('{"a":"Peipsi järv"}\n{"b":2}\n');
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(await all(streamOf(bytes.slice(0, cut), bytes.slice(cut))), [{ a: 'Peipsi järv' }, { b: 2 }]);
  }
  assert.deepEqual(await all(streamOf('{"a":1}\n\n{"b":2}')), [{ a: 1 }, { b: 2 }]);
});

test('a reader that stops tells the sender', async () => {
  let cancelled = false;
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode('{"n":1}\n'));
    },
    cancel() {
      cancelled = true;
    }
  });
  for await (const one of lines(stream)) {
    assert.equal(one.n, 1);
    break;
  }
  assert.ok(cancelled);
});

test('keys of order: numbers and texts ascend, what is missing comes last', () => {
  const keys = [[null, 'a'], [3, 'b'], [-1, 'z'], [3, 'a'], ['x'], [3]];
  assert.deepEqual([...keys].sort(compare), [[-1, 'z'], [3, 'a'], [3, 'b'], [3], ['x'], [null, 'a']]);
});

test('rows of several catalogues become one order, however they come', () => {
  const rows = Array.from({ length: 200 }, (_, n) => row(`k${n}`, [(n * 37) % 50, `k${n}`]));
  const results = new Results();
  results.begin();
  for (let at = 0; at < rows.length; at += 7) {
    results.take({ event: 'rows', rows: rows.slice(at, at + 7) });
  }
  assert.deepEqual(results.rows, [...rows].sort((a, b) => compare(a.order, b.order)));
  assert.equal(results.position('k0'), results.rows.findIndex(one => one.key === 'k0'));
});

test('a row that is sent again replaces itself, also where its place changes', () => {
  const results = new Results();
  results.begin();
  results.take({ event: 'rows', rows: [row('a', [1]), row('b', [2]), row('c', [3])] });
  const copies = [{ key: 'x', catalogue: 'b', collection: null, id: 'x' }];
  results.take({ event: 'rows', rows: [row('b', [2], { copies })] });
  assert.deepEqual(results.rows.map(one => one.key), ['a', 'b', 'c']);
  assert.deepEqual(results.rows[1].copies, copies);
  results.take({ event: 'rows', rows: [row('a', [9])] });
  assert.deepEqual(results.rows.map(one => one.key), ['b', 'c', 'a']);
  assert.equal(results.row('a').order[0], 9);
});

test('each catalogue fares by itself', () => {
  const results = new Results();
  results.begin();
  results.take({ event: 'search', search: 's1' });
  for (const catalogue of ['a', 'b', 'c']) {
    results.take({ event: 'asking', catalogue });
  }
  results.take({ event: 'answered', catalogue: 'a', count: 2, matched: 7, more: true, ignored: ['text'], took_ms: 3 });
  const error = { code: 'timeout', message: 'It did not answer.', hint: 'Try again.' };
  results.take({ event: 'failed', catalogue: 'b', error });
  assert.equal(results.matched, null);
  assert.equal(results.full, false);
  results.take({ event: 'end', more: true, final: 2, full: true });
  assert.equal(results.full, true);
  results.end();
  assert.equal(results.search, 's1');
  assert.equal(results.final, 2);
  assert.deepEqual(results.failures, [['b', error]]);
  assert.equal(results.answers.get('c').state, 'failed'); // a stream that broke off
  results.take({ event: 'asking', catalogue: 'a' });
  results.take({ event: 'answered', catalogue: 'a', count: 5, matched: null, more: false, ignored: [], warnings: ['2 items were left out.'], took_ms: 3 });
  assert.deepEqual(results.answers.get('a').warnings, ['2 items were left out.']);
  assert.equal(results.answers.get('a').count, 7);
  assert.equal(results.answers.get('a').matched, 7);
});
