// What would be moved on a day: looked at, cut, applied.

import { ask, button, code, count, day, during, el, fill, minute, of, size, soft, table } from './common.js';

/** Show a plan; `act` sends what is chosen to the service. */
function show(found, act) {
  if (!found.count) {
    fill('plan', soft(`Nothing would be moved on ${day(found.at)}. ${found.people}`));
    return;
  }
  const [head, ...lines] = found.plan.split('\n').filter(line => line && !line.startsWith('#'));
  const { entries } = found;
  const boxes = entries.map(one => el('input', { type: 'checkbox', checked: !one.waits, 'aria-label': `Move ${of(one.home, one.path)}` }));
  const chosen = () => [...boxes.keys()].filter(index => boxes[index].checked);
  const sum = el('span', { role: 'status' });
  const tell = () => { sum.textContent = `${count(chosen().length, 'entry', 'entries')} chosen, ${size(chosen().reduce((all, index) => all + entries[index].bytes, 0))}`; };
  const all = el('input', { type: 'checkbox', checked: true, 'aria-label': 'Choose all', onchange: () => { boxes.forEach(box => { box.checked = all.checked; }); tell(); } });
  boxes.forEach(box => box.addEventListener('change', tell));
  const really = el('input', { type: 'checkbox' });
  const over = found.excess.map(one => soft(`${one.home ? `Of the home ${one.home}` : 'Of all homes together'} it is ${Math.round(one.per_cent)} %, and a run may move ${one.allowed} %.`));
  const apply = button('Apply', 'Apply: move what is chosen into quarantine', self => act(self, [head, ...chosen().map(index => lines[index])].join('\n'), really.checked), 'main');
  const later = Date.parse(found.at) > Date.now() + 60_000;
  apply.disabled = later;
  const file = el('a', { download: `plan-${day(found.at)}.csv`, href: URL.createObjectURL(new Blob([found.plan], { type: 'text/csv' })) }, 'Download as CSV');
  fill('plan',
    el('p', {}, `${day(found.at)}: ${count(found.count, 'entry', 'entries')}, ${size(found.bytes)} (${found.by_kind.map(one => `${one.kind} ${size(one.bytes)}`).join(', ')}); from the scan of ${minute(found.scanned)}. ${found.people}`),
    ...over,
    found.count > entries.length ? soft(`The ${entries.length} largest are shown; the file has all.`) : null,
    el('div', { class: 'actions' }, apply, sum, over.length ? el('label', {}, really, ' I have looked at it: move more than a run may') : null, file,
      later ? el('span', { class: 'soft' }, 'Only what is due today can be applied.') : null),
    table([[all], ['Place'], ['What it is'], ['Size', true], ['Last used'], ['Waits because']], entries.map((one, index) => [
      boxes[index], code(of(one.home, one.path)), one.about, size(one.bytes), one.last_used ? day(one.last_used) : 'never', one.waits
    ])));
  tell();
}

/** Let the form ask for plans. */
export function offerPlans(act) {
  document.getElementById('ask').addEventListener('submit', event => {
    event.preventDefault();
    const by = document.getElementById('by').value || null;
    void during(event.submitter, 'Planning …', async () => {
      show(await ask('POST', '/api/admin/plan', { by }), act);
      return '';
    });
  });
}
