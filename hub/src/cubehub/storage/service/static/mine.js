import { ask, button, code, day, during, el, fill, mine, narrow, say, size, soft, svg, table, used } from './common.js';
import { layOut } from './treemap.js';

let at = ''; // the folder that is looked into

const change = (self, what, path, content, done) => during(self, what, async () => {
  const answer = await ask('POST', path, content);
  show(answer.home === undefined ? await ask('GET', '/api/mine') : answer);
  return done(answer);
});

function showUse({ scan, limit_bytes: limit }) {
  if (!scan) {
    fill('use', soft('Nobody has looked at the homes yet, or yours is new. It is done by itself, once a day.'));
    return;
  }
  const share = limit ? scan.bytes / limit : null;
  const level = share >= 0.95 ? ' full' : share >= 0.8 ? ' high' : '';
  const bar = el('span');
  bar.style.width = `${Math.min(100, (share ?? 0) * 100)}%`;
  fill('use',
    el('p', {}, `${size(scan.bytes)}${limit ? ` of ${size(limit)} (${Math.round(share * 100)} %)` : ''} in ${scan.files.toLocaleString('en')} files, as of ${day(scan.ended)}.`),
    limit ? el('div', { class: `bar${level}` }, bar) : null);
}

const COLOURS = ['#1f6f8d', '#3d7350', '#75663d', '#7b4f6d', '#44608c', '#5f6b25', '#8a573c', '#4d6a78'];
const [WIDTH, HEIGHT] = narrow ? [360, 300] : [900, 320]; // so that what is written in it can be read
const above = path => path.slice(0, Math.max(0, path.lastIndexOf('/')));

function showMap(found) {
  const places = found.scan?.places ?? [];
  const whole = places.find(one => one.path === at);
  if (!whole) {
    fill('map');
    fill('places');
    return;
  }
  const inside = places.filter(one => one.path && above(one.path) === at);
  const rest = whole.bytes - inside.reduce((sum, one) => sum + one.bytes, 0);
  const items = rest > 0 ? [...inside, { path: null, bytes: rest }] : inside;
  const open = path => { at = path; showMap(found); };
  const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'group', 'aria-label': `Folders in ${mine(at)} by size` });
  layOut(items, 0, 0, WIDTH, HEIGHT).forEach(({ item, x, y, width, height }, index) => {
    const name = item.path === null ? 'files and small folders' : item.path.slice(at ? at.length + 1 : 0);
    const text = `${name}, ${size(item.bytes)}`;
    const opens = item.path !== null && places.some(one => one.path.startsWith(`${item.path}/`));
    const more = opens
      ? { tabindex: 0, role: 'button', onclick: () => open(item.path), onkeydown: event => { if (event.key === 'Enter') { open(item.path); } } }
      : { role: 'img' };
    drawing.append(svg('rect', { x, y, width, height, class: 'cell', fill: item.path === null ? '#5d6a70' : COLOURS[index % COLOURS.length], 'aria-label': text, ...more }, svg('title', {}, text)));
    if (width > 70 && height > 20) {
      drawing.append(svg('text', { x: x + 6, y: y + 16, class: 'on', 'aria-hidden': 'true', 'pointer-events': 'none' }, text.slice(0, Math.floor(width / 7))));
    }
  });
  fill('map',
    el('div', { class: 'actions' }, at ? button('Up', 'One folder up', () => open(above(at))) : null, el('span', {}, `${mine(at)}: ${size(whole.bytes)}`)),
    drawing);
  fill('places', el('details', {}, el('summary', {}, 'As a table'),
    table([['Folder'], ['Size', true], ['Files', true], ['Last used']], inside.map(one => [code(one.path), size(one.bytes), one.files.toLocaleString('en'), used(one.newest)]))));
}

function show(found) {
  showUse(found);
  showMap(found);
  fill('noticed', found.noticed.length
    ? table([['Place'], ['Why'], ['Size', true], ['Not before'], ['Do']], found.noticed.map(one => [
      code(mine(one.path)), one.reason, size(one.bytes), one.when,
      button('Keep 90 days', `Keep ${mine(one.path)} for 90 days`, self => change(self, 'Keeping it …', '/api/mine/keep', { path: one.path, days: 90 }, () => `${mine(one.path)} stays for 90 days.`))
    ]))
    : soft('Nothing.'));
  fill('away', found.away.length
    ? table([['Place'], ['Size', true], ['Since'], ['Kept until'], ['Do']], found.away.map(one => [
      code(mine(one.path)), size(one.bytes), day(one.since), one.until ?? 'for ever',
      el('div', { class: 'actions' },
        button('Bring back', `Bring ${mine(one.path)} back`, self => back(self, one.number, null)),
        button('One file …', `Bring one file of ${mine(one.path)} back`, self => choose(self, one)))
    ]))
    : soft('Nothing.'));
  fill('kept', found.kept.length
    ? table([['Place'], ['Until'], ['By'], ['Do']], found.kept.map(one => [
      code(mine(one.path)), one.until ?? 'for ever', one.by,
      one.by === 'you' ? button('No longer', `Keep ${mine(one.path)} no longer`, self => change(self, 'Letting it go …', '/api/mine/let-go', { path: one.path }, () => 'It goes by the rules again.')) : ''
    ]))
    : soft('Nothing.'));
}

const back = (self, number, only) => change(self, 'Bringing it back …', '/api/mine/restore', { number, only }, answer => `It is back: ${mine(answer.restored)}`);

const choose = (self, one) => during(self, 'Looking into it …', async () => {
  const { entries } = await ask('GET', `/api/mine/inside?number=${one.number}`);
  if (!entries.length) {
    return 'It is a single file: bring it back as a whole.';
  }
  document.querySelector('#away .inside')?.remove();
  document.getElementById('away').append(el('div', { class: 'inside' }, el('h3', {}, `In ${mine(one.path)}`),
    table([['Path'], ['Size', true], ['Do']], entries.map(inner => [
      code(inner.path), inner.folder ? 'folder' : size(inner.bytes),
      button('Bring back', `Bring ${inner.path} back`, self_ => back(self_, one.number, inner.path))
    ]))));
  return '';
});

try {
  show(await ask('GET', '/api/mine'));
} catch (error) {
  say(error.message, true);
}
