import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  describeAway, describeChoice, describeKept, describeNoticed, describePath, formatDay, formatSeconds, formatShare, innerPath,
  whyNot,
  mapOf, matching, useOf
} from '../lib/storage.js';

const GIB = 2 ** 30;
const local = more => ({ counted: '2026-11-27T20:00:00+00:00', bytes: 4 * GIB, complete: true, places: [], ...more });
const scan = more => ({ ended: '2026-11-26T02:10:00Z', bytes: 3 * GIB, files: 1, places: [], caches: [], large: [], ...more });
const service = more => ({ home: 'ana', limit_bytes: 5 * GIB, scan: scan(), noticed: [], away: [], kept: [], left_out: {}, ...more });
const told = more => ({ local: local(), service: service(), trouble: null, ...more });

test('use stands against what the profile gives, and the newer count is taken', () => {
  const use = bytes => useOf(told({ local: local({ bytes }) }), null);
  assert.deepEqual(use(2 * GIB), { text: '2 GiB of 5 GiB, 40 %', share: 0.4, level: 'ok' });
  assert.deepEqual(use(4 * GIB), { text: '4 GiB of 5 GiB, 80 %, filling up', share: 0.8, level: 'high' });
  assert.equal(use(4.75 * GIB).level, 'full');
  assert.equal(use(9 * GIB).share, 1);
  assert.match(use(9 * GIB).text, /180 %, almost full$/);
  assert.match(useOf(told({ local: null }), null).text, /^3 GiB of 5 GiB/);
  assert.match(useOf(told({ local: local({ complete: false }) }), null).text, /^more than 4 GiB of/);
});

test('a limit that the service does not know is the one of the profile; without any none is made up', () => {
  assert.match(useOf(told({ service: service({ limit_bytes: null }) }), 8 * GIB).text, /of 8 GiB, 50 %/);
  assert.deepEqual(useOf(told({ service: null }), null), { text: '4 GiB, no limit known', share: 0, level: 'unknown' });
  assert.equal(useOf(told({ service: null, local: null }), GIB), null);
  assert.equal(useOf(told({ service: service({ limit_bytes: 0 }) }), GIB).level, 'unknown');
});

test('the map is of the scan, and without one of the own count', () => {
  assert.equal(mapOf(told()).about, 'As the platform found it on 26 Nov 2026 02:10 UTC.');
  assert.equal(mapOf(told({ service: null })).about, 'Counted by your server on 27 Nov 2026 20:00 UTC.');
  assert.match(mapOf(told({ service: service({ scan: null }), local: local({ complete: false }) })).about, /too many files/);
  assert.equal(mapOf(told({ service: null, local: null })), null);
});

test('days and shares', () => {
  assert.equal(formatDay('2026-12-10'), '10 Dec 2026');
  assert.equal(formatDay('2026-12-10T23:30:00-05:00'), '11 Dec 2026');
  assert.equal(formatDay('soon'), 'soon');
  assert.equal(formatSeconds(1764201600), '27 Nov 2025');
  assert.deepEqual([null, 1e300, NaN].map(formatSeconds), ['', '', '']);
  assert.equal(formatSeconds(-1), '31 Dec 1969');
  assert.deepEqual([0, 0.001, 0.5, 1].map(formatShare), ['0 %', '< 1 %', '50 %', '100 %']);
});

test('what is going to be cleaned up: how much, when and why', () => {
  const one = { path: 'a', kind: 'large', reason: 'not used for a year.', bytes: GIB, when: '2026-12-10', notice: 1 };
  assert.equal(describeNoticed(one), '1 GiB. Will be moved away from 10 Dec 2026 on: not used for a year.');
  assert.match(describeNoticed({ ...one, notice: 2 }), /This was the last notice\.$/);
  assert.equal(describePath(''), 'Your whole home');
});

test('what was moved away says where it is, and what is deleted cannot be restored', () => {
  const one = { number: 1, path: 'a', kind: 'x', bytes: GIB, since: '2026-11-01', until: '2027-11-01', archived: false };
  const about = more => describeAway({ ...one, ...more });
  assert.deepEqual(about({ state: 'quarantined' }), {
    text: '1 GiB. Set aside since 01 Nov 2026, kept until 01 Nov 2027.', restorable: true
  });
  assert.match(about({ state: 'archived', archived: true }).text, /Set aside, and in the archive/);
  assert.match(about({ state: 'purged', archived: true, until: null }).text, /In the archive since .*kept without an end/);
  assert.equal(about({ state: 'purged', archived: true }).restorable, true);
  assert.deepEqual(about({ state: 'purged' }), { text: '1 GiB. Deleted on 01 Nov 2026.', restorable: false });
});

test('only what the person keeps can be let go here', () => {
  const kept = by => describeKept({ path: 'a', until: by === 'you' ? '2027-01-01' : null, by });
  assert.deepEqual(kept('you'), { text: 'Kept by you until 01 Jan 2027.', own: true });
  assert.equal(kept('admin').own, false);
  assert.match(kept('file').text, /Delete that file/);
});

test('a file is found by what was typed, and no path leads out', () => {
  const entries = ['Notes/A.ipynb', 'notes/b.ipynb', 'c'].map(path => ({ path, bytes: 1, folder: false }));
  assert.deepEqual(matching(entries, 'NOTES').map(one => one.path), ['Notes/A.ipynb', 'notes/b.ipynb']);
  assert.equal(matching(entries, '', 2).length, 2);
  assert.equal(describeChoice(2, 3), '2 of 3 shown.');
  assert.match(describeChoice(200, 1000), /There may be others/);
  assert.deepEqual(['a/b', '/a/b/', './a', '../a', 'a/../../b', '', ' a '].map(innerPath), ['a/b', 'a/b', 'a', '', '', '', ' a ']);
});

test('what cannot come back is said in words for a person', () => {
  const entries = [{ path: 'a', bytes: 0, folder: true }, { path: 'a/b.ipynb', bytes: 7, folder: false }];
  for (const typed of ['a', '/a/', './a/b.ipynb']) {
    assert.equal(whyNot(typed, entries), '');
  }
  assert.match(whyNot('', entries), /choose one from the list/);
  assert.match(whyNot('/', entries), /choose one from the list/);
  assert.match(whyNot('../ben', entries), /does not work here/);
  assert.match(whyNot('b.ipynb', entries), /no “b.ipynb” in it/);
  assert.equal(whyNot('b.ipynb', []), '', 'what is in it is not known');
  assert.equal(whyNot('b.ipynb', Array(1000).fill(entries[0])), '', 'there may be others');
});
