import assert from 'node:assert/strict';
import test from 'node:test';

import { EMPTY, linkOf, queryOf, searchIn } from '../lib/form.js';
import { labPage } from '../lib/shared.js';

const HUB = { origin: 'https://hub.example', baseUrl: '/user/ana/', hubHost: '', hubPrefix: '/hub/' };

test('a link from a Hub opens at whoever follows it, and names nobody', () => {
  assert.equal(labPage(HUB), 'https://hub.example/hub/user-redirect/lab');
  assert.equal(labPage({ ...HUB, hubPrefix: '/place/hub' }), 'https://hub.example/place/hub/user-redirect/lab');
  assert.equal(labPage({ ...HUB, origin: 'https://ana.hub.example', hubHost: 'https://hub.example' }), 'https://hub.example/hub/user-redirect/lab');
  const link = linkOf(labPage(HUB), queryOf(EMPTY, []), ['platform']);
  assert.ok(!link.includes('ana'));
  assert.deepEqual(searchIn(new URL(link).hash).catalogues, ['platform']);
});

test('a link from a Lab of one’s own has no path of a notebook', () => {
  const lab = { origin: 'http://127.0.0.1:8888', baseUrl: 'http://127.0.0.1:8888/', hubHost: '', hubPrefix: '' };
  assert.equal(labPage(lab), 'http://127.0.0.1:8888/lab');
  assert.equal(labPage({ ...lab, baseUrl: '/some/where' }), 'http://127.0.0.1:8888/some/where/lab');
});
