import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  blocks, describeComing, describeHome, describeUntil, forToast, formatBytes, formatMoment, formatPair, fresh, keyOf,
  reasonFor, standing, summarise, summariseLoss
} from '../lib/model.js';

const GIB = 2 ** 30;
const status = more => ({
  used_bytes: 2.1 * GIB, memory_bytes: 5 * GIB, profile: 'standard', title: 'Standard', home_bytes: null,
  home_complete: true, storage_bytes: null, hub_url: '/hub/home', notices: [], ended: null, ...more
});
const notice = more => ({ id: 1, time: 't', level: 'info', code: 'x', message: 'm', hint: 'h', ...more });

test('sizes as people read them', () => {
  assert.equal(formatBytes(5 * GIB), '5 GiB');
  assert.equal(formatBytes(768 * 2 ** 20), '768 MiB');
  assert.equal(formatBytes(1.5 * GIB), '1.5 GiB');
  assert.equal(formatBytes(12), '12 B');
  assert.equal(formatPair(2.1 * GIB, 5 * GIB), '2.1 / 5 GiB');
  assert.equal(formatPair(300 * 2 ** 20, 5 * GIB), '300 MiB / 5 GiB');
});

test('the item says use, limit and profile, and how tight it is', () => {
  const found = summarise(status());
  assert.equal(found.text, 'RAM 2.1 / 5 GiB · Standard');
  assert.match(found.label, /whole server: 2.1 GiB of 5 GiB, 42 %, profile Standard/);
  assert.equal(found.level, 'ok');
  assert.equal(summarise(status({ used_bytes: 4 * GIB })).level, 'high');
  assert.equal(summarise(status({ used_bytes: 4.8 * GIB })).level, 'full');
  assert.match(summarise(status({ used_bytes: 4.8 * GIB })).label, /almost at the limit/);
  assert.equal(summarise(status({ used_bytes: 9 * GIB })).share, 1);
});

test('what is not known is not made up', () => {
  assert.equal(summarise(status({ used_bytes: null })).text, 'RAM unknown · Standard');
  assert.equal(summarise(status({ memory_bytes: null, title: '' })).text, 'RAM 2.1 GiB');
  assert.equal(summarise(status({ memory_bytes: 0 })).level, 'unknown');
});

test('the home is counted, exactly or not', () => {
  assert.equal(describeHome(status()), 'being counted …');
  assert.equal(describeHome(status({ home_bytes: GIB, storage_bytes: 10 * GIB })), '1 GiB of 10 GiB');
  assert.equal(describeHome(status({ home_bytes: GIB, home_complete: false })), 'more than 1 GiB');
});

test('each notice is said once, and a later server may use its number again', () => {
  const shown = new Set([keyOf(notice())]);
  const none = new Set();
  const found = fresh([notice(), notice({ id: 2 }), notice({ time: 'later' })], shown, none);
  assert.deepEqual(found.map(keyOf), ['2@t', '1@later']);
  assert.deepEqual(fresh([notice({ level: 'error' }), notice({ id: 2, seen: true })], none, none), []);
});

test('a stopped kernel is told here unless its notebook tells it', () => {
  const stopped = notice({ id: 'kernel-1', kernel: 'abc', level: 'warning' });
  assert.deepEqual(fresh([stopped], new Set(), new Set()), [stopped]);
  assert.deepEqual(fresh([stopped], new Set(), new Set(['abc'])), []);
});

test('numbers that no longer hold are not shown', () => {
  for (const loss of ['silent', 'stopped', 'renewed', 'refused']) {
    const found = summariseLoss(loss);
    assert.doesNotMatch(found.text, /\d/);
    assert.equal(found.level, 'unknown');
  }
});

const AT = '2026-11-28T06:30:00+00:00';
const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.parse(AT) - 14 * DAY - 1;

test('moments are written in one form, whatever the zone', () => {
  assert.equal(formatMoment(AT), '28 Nov 2026 06:30 UTC');
  assert.equal(formatMoment('2026-01-01T00:05:00+02:00'), '31 Dec 2025 22:05 UTC');
  assert.equal(formatMoment('soon'), 'soon');
});

test('what is coming is told with its time and its consequence', () => {
  const less = { at: AT, memory_bytes: 5 * GIB, title: 'Standard' };
  assert.equal(
    describeComing(status({ coming: less })),
    '5 GiB (Standard) by 28 Nov 2026 06:30 UTC; the server is stopped if it then uses more'
  );
  assert.match(describeComing(status({ coming: { at: AT, memory_bytes: 0, title: '' } })), /stopped at 28 Nov/);
  assert.match(describeComing(status({ coming: { ...less, at: null } })), /as soon as the machine has room/);
  assert.equal(describeComing(status({ coming: null })), null);
  assert.equal(describeComing(status()), null, 'a Hub that does not tell');
  assert.equal(describeUntil(status({ until: { at: AT, title: 'Standard' } })), '28 Nov 2026 06:30 UTC, then Standard');
  assert.equal(describeUntil(status()), null);
});

test('what still stands is said again, shortly and by its own key', () => {
  const coming = { at: AT, memory_bytes: 5 * GIB, title: 'Standard' };
  const [cut, end] = standing(status({ coming, until: { at: AT, title: 'Standard' } }), NOW);
  assert.equal(cut.level, 'warning');
  assert.match(cut.message, /^This server will be stopped at 28 Nov 2026 06:30 UTC, unless it uses less than 5 GiB/);
  assert.match(end.message, /until 28 Nov 2026 06:30 UTC, then Standard/);
  assert.notEqual(cut.key, standing(status({ coming: { ...coming, memory_bytes: GIB } }), NOW)[0].key);
  assert.match(standing(status({ coming: { ...coming, memory_bytes: 0 } }), NOW)[0].message, /no room for it/);
  assert.deepEqual(standing(status({ coming: { ...coming, at: null } }), NOW), []);
  assert.deepEqual(standing(status(), NOW), []);
  assert.deepEqual([cut.urgent, end.urgent], [true, false]);
  assert.equal(standing(status({ until: { at: AT, title: 'Standard' } }), NOW + 14 * DAY)[0].urgent, true);
});

test('what is too long for the corner is left to a dialog', () => {
  assert.deepEqual(forToast('Short.', 'And what to do.'), { text: 'Short. And what to do.', more: false });
  assert.deepEqual(forToast('Short.', ''), { text: 'Short.', more: false });
  assert.deepEqual(forToast('Short.', 'x'.repeat(140)), { text: 'Short.', more: true });
});

test('a text becomes paragraphs and lists', () => {
  assert.deepEqual(blocks('Do this:\n  - one;\n  - two.\nThen that.\n'), ['Do this:', ['one;', 'two.'], 'Then that.']);
  assert.deepEqual(blocks(''), []);
});

test('the reason of a kernel is the newest that was not shown', () => {
  const notices = [notice({ id: 'a', kernel: 'x' }), notice({ id: 'b', kernel: 'x' }), notice({ id: 'c', kernel: 'y' })];
  assert.equal(reasonFor(notices, 'x', new Set()).id, 'b');
  assert.equal(reasonFor(notices, 'x', new Set(['b@t'])).id, 'a');
  assert.equal(reasonFor(notices, 'z', new Set()), undefined);
});
