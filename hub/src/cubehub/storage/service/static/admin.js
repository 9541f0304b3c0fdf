import { ask, button, code, count, day, during, el, fill, minute, narrow, of, say, size, soft, svg, table, used } from './common.js';
import { offerPlans } from './plan.js';

const told = (answer, what) => [
  `${count(answer.done, 'entry', 'entries')} ${what}, ${size(answer.bytes)}.`,
  ...answer.left.slice(0, 10).map(one => `Left alone: ${of(one.home, one.path)}: ${one.why}`),
  ...(answer.left.length > 10 ? [`and ${answer.left.length - 10} more`] : [])
].join('\n');

const act = (self, what, path, content, done) => during(self, what, async () => {
  const answer = await ask('POST', path, content);
  show(await ask('GET', '/api/admin'));
  return done(answer);
});

const tile = (title, value, about = '') => el('div', { class: 'tile' }, el('span', { class: 'soft' }, title), el('b', {}, value), el('span', { class: 'soft' }, about));

function chart(points) {
  if (points.length < 2) {
    return soft('How full it is over time shows from the second scan on.');
  }
  const [width, height, left, below] = narrow ? [360, 200, 70, 24] : [900, 220, 70, 24];
  const times = points.map(one => Date.parse(one.at));
  const most = Math.max(...points.map(one => one.bytes), 1);
  const x = time => left + ((time - times[0]) / Math.max(1, times.at(-1) - times[0])) * (width - left - 12);
  const y = bytes => height - below - (bytes / most) * (height - below - 16);
  const line = points.map((one, index) => `${index ? 'L' : 'M'}${x(times[index]).toFixed(1)},${y(one.bytes).toFixed(1)}`).join('');
  const [first, last] = [points[0], points.at(-1)];
  return svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `All homes over time: ${size(first.bytes)} on ${day(first.at)}, ${size(last.bytes)} on ${day(last.at)}` },
    svg('path', { class: 'area', d: `${line}L${x(times.at(-1))},${height - below}L${left},${height - below}Z` }),
    svg('path', { class: 'line', d: line }),
    ...[0, 0.5, 1].map(part => svg('text', { x: 6, y: y(most * part) + 4 }, size(Math.round(most * part)))),
    svg('text', { x: left, y: height - 6 }, minute(first.at)),
    svg('text', { x: width - 12, y: height - 6, 'text-anchor': 'end' }, minute(last.at)));
}

function show(found) {
  if (found.trouble) {
    say(`Nothing is planned or moved before this is mended: ${found.trouble}`, true);
  }
  const last = found.fill.at(-1);
  fill('sums',
    tile('All homes', last ? size(last.bytes) : '-', last ? `${count(last.homes, 'home')}, ${day(last.at)}` : 'nobody has looked yet'),
    tile('Told to their owners', size(found.sums.noticed), count(found.noticed, 'entry', 'entries')),
    tile('In quarantine', size(found.sums.quarantined)),
    tile('In archives', size(found.sums.archived)),
    tile('Freed so far', size(found.sums.freed)));
  fill('fill', chart(found.fill));
  showHomes(found);
  showAway(found);
  showRounds(found);
  fill('mails', found.mails.length
    ? table([['Written'], ['To'], ['What'], ['State']], found.mails.map(one => [
      minute(one.at), one.to, el('details', {}, el('summary', {}, one.subject), el('pre', {}, one.body)), one.said ? `${one.state}: ${one.said}` : one.state
    ]))
    : soft('No mail was written yet.'));
}

function showHomes({ homes, kept, fill: looks }) {
  const write = (title, about, home, path, hold, done) => button(title, about, self => act(self, 'Writing it down …', '/api/admin/hold', { home, path, hold }, () => done));
  const release = (home, path) => write(path ? `Release ${path}` : 'Release', path ? `Release ${of(home, path)}` : `Release the home ${home}`, home, path, false, `${path ? of(home, path) : home} goes by the policy again.`);
  const hold = ({ name }) => {
    // the home as a whole, and folders in it, are held and released each by itself
    const paths = kept.filter(one => one.by === 'admin' && one.home === name).map(one => one.path);
    const first = paths.includes('') ? [] : [write('Hold', `Hold the home ${name}`, name, '', true, `Nothing of ${name} is moved.`)];
    return el('div', { class: 'actions' }, ...first, ...paths.sort().map(path => release(name, path)));
  };
  fill('homes', homes.length
    ? table([['Home'], ['Size', true], ['Files', true], ['Caches, trash', true], ['Last used'], ['Do']], homes.map(one => [one.name, size(one.bytes), one.files.toLocaleString('en'), size(one.caches), used(one.newest), hold(one)]))
    : soft(looks.length ? 'There are no homes yet.' : 'Nobody has looked at the homes yet: begin a round.'));
}

function showAway({ away, undo, stuck }) {
  const places = { purged: 'archive', archiving: 'quarantine, being archived' };
  const where = one => places[one.state] ?? (one.archived ? 'quarantine, archive' : 'quarantine');
  fill('away',
    undo ? el('div', { class: 'actions' },
      button('Undo the last run', 'Undo the last run: put back all that it moved', self => act(self, 'Putting it back …', '/api/admin/undo', { run: undo.run }, answer => told(answer, 'put back'))),
      el('span', {}, `${minute(undo.at)}: ${count(undo.entries, 'entry', 'entries')}, ${size(undo.bytes)}`)) : null,
    stuck.length ? el('h3', {}, 'To be removed, and still there') : null,
    stuck.length
      ? table([['Number', true], ['Place'], ['Size', true], ['Tried'], ['Why']], stuck.map(one => [
        String(one.number), code(of(one.home, one.path)), size(one.bytes), minute(one.since), one.why || 'being removed just now'
      ]))
      : null,
    away.length
      ? table([['Number', true], ['Place'], ['Kind'], ['Size', true], ['Since'], ['Where'], ['Do']], away.map(one => [
        String(one.number), code(of(one.home, one.path)), one.kind, size(one.bytes), day(one.since), where(one),
        button('Bring back', `Bring ${of(one.home, one.path)} back`, self => act(self, 'Bringing it back …', '/api/admin/back', { number: one.number }, answer => told(answer, 'put back')))
      ]))
      : soft('Nothing.'));
}

function showRounds({ rounds, running, paused, policy }) {
  const amount = much => (running.unit === 'bytes' ? size(much) : much.toLocaleString('en'));
  const state = running
    ? `Running: ${running.step}${running.of ? `, ${amount(running.done)} of ${amount(running.of)}` : ''}`
    : paused ? `Paused by ${paused.by}${paused.why ? `: ${paused.why}` : ''}.`
      : `Each round ${policy.automatic ? 'applies its plan by itself' : 'scans, plans and tells people; nothing is moved by itself'}. Policy: ${policy.preset}${policy.archive ? '' : '; no archive is set'}.`;
  fill('rounds',
    el('div', { class: 'actions' },
      button('Begin a round', 'Begin a round', self => act(self, 'Beginning …', '/api/admin/rounds/begin', {}, () => { void watch(); return 'A round has begun.'; })),
      paused
        ? button('Go on', 'Go on: make rounds again', self => act(self, 'Writing it down …', '/api/admin/rounds/resume', {}, () => 'Rounds are made again.'))
        : button('Pause', 'Pause: make no more rounds', self => act(self, 'Writing it down …', '/api/admin/rounds/pause', { why: '' }, () => 'Rounds are paused.')),
      el('span', { role: 'status' }, state)),
    rounds.length
      ? table([['Began'], ['By'], ['End'], ['What it did']], rounds.map(one => [minute(one.started), one.by, one.outcome === 'running' && !running ? 'cut off' : one.outcome, sentence(one.told)]))
      : null);
}

function sentence(found) {
  const parts = [];
  if ('homes' in found) {
    parts.push(`${count(found.homes, 'home')}, ${size(found.bytes)}${found.unchanged ? `, ${found.unchanged.toLocaleString('en')} unchanged` : ''}`);
  }
  if ('mails' in found) {
    parts.push(`${count(found.mails, 'mail')} written, ${found.sent} sent, ${found.mails_waiting} wait`);
  }
  if ('planned' in found) {
    parts.push(`${found.planned} due (${size(found.planned_bytes)})`);
  }
  for (const key of ['moved', 'archived', 'purged', 'expired'].filter(one => found[one])) {
    parts.push(`${found[key]} ${key} (${size(found[`${key}_bytes`])})`);
  }
  return [...parts, ...['people', 'mail', 'left', 'failed'].map(key => found[key]).filter(Boolean)].join('; ');
}

let watching = false;

/** Look each second how far a round is, until it is over. */
async function watch() {
  if (watching) {
    return;
  }
  watching = true;
  try {
    for (let quiet = 0; quiet < 5;) {
      await new Promise(done => { setTimeout(done, 1000); });
      const found = await ask('GET', '/api/admin');
      quiet = found.running ? 0 : quiet + 1;
      showRounds(found);
      if (!found.running) {
        show(found);
      }
    }
  } catch (error) {
    say(error.message, true);
  } finally {
    watching = false;
  }
}

offerPlans((self, plan, yes_really) => act(self, 'Moving …', '/api/admin/apply', { plan, yes_really }, answer => {
  fill('plan');
  return told(answer, 'moved into quarantine');
}));
try {
  const found = await ask('GET', '/api/admin');
  show(found);
  if (found.running) {
    void watch();
  }
} catch (error) {
  say(error.message, true);
}
