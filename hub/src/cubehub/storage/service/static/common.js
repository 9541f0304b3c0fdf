// What both pages have in common: asking the service, writing sizes, building elements. Texts that come from homes are
// only ever set as text.

export const prefix = document.querySelector('meta[name="prefix"]').content;

const xsrf = () => document.cookie.split('; ').find(one => one.startsWith('_xsrf='))?.slice(6) ?? '';

export async function ask(method, path, content) {
  const answer = await fetch(prefix + path, {
    method,
    headers: { 'Content-Type': 'application/json', 'X-XSRFToken': xsrf() },
    body: content === undefined ? undefined : JSON.stringify(content)
  });
  let found = null;
  try {
    found = await answer.json();
  } catch {
    // no JSON: told below by its status
  }
  if (!answer.ok || found === null) {
    const said = found?.message ? `${found.message} ${found.hint ?? ''}` : `The service answered with ${answer.status}. Load the page anew.`;
    throw new Error(said.trim());
  }
  return found;
}

export function say(text, bad = false) {
  const place = document.getElementById('said');
  place.textContent = text;
  place.classList.toggle('bad', bad);
}

/** Do something that takes time; its button waits meanwhile, and what goes wrong is said. */
export async function during(button, what, act) {
  if (button) {
    button.disabled = true;
  }
  say(what);
  try {
    say((await act()) ?? '');
  } catch (error) {
    say(error.message, true);
  } finally {
    if (button) {
      button.disabled = false;
    }
  }
}

const UNITS = [['TiB', 2 ** 40], ['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]];

export function size(bytes) {
  for (const [unit, one] of UNITS) {
    if (bytes >= one) {
      const count = bytes / one;
      return `${count >= 100 ? Math.round(count) : Math.round(count * 10) / 10} ${unit}`;
    }
  }
  return `${bytes} B`;
}

export const count = (number, what, many = `${what}s`) => `${number.toLocaleString('en')} ${number === 1 ? what : many}`;
export const mine = path => (path ? `~/${path}` : 'the whole home');
export const of = (home, path) => (path ? `${home}/${path}` : `${home} (whole home)`);
export const day = text => (text ? text.slice(0, 10) : '');
export const minute = text => (text ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : '');
/** The day of a last use; people set the times of their files to anything. */
export function used(seconds) {
  const moment = new Date(seconds * 1000);
  return !seconds ? 'never' : Number.isNaN(moment.getTime()) ? 'far from now' : moment.toISOString().slice(0, 10);
}

function make(made, more, inner) {
  for (const [key, value] of Object.entries(more)) {
    if (key.startsWith('on')) {
      made.addEventListener(key.slice(2), value);
    } else if (value !== undefined && value !== null && value !== false) {
      made.setAttribute(key, value === true ? '' : value);
    }
  }
  made.append(...inner.filter(one => one !== undefined && one !== null));
  return made;
}

export const el = (name, more = {}, ...inner) => make(document.createElement(name), more, inner);
export const svg = (name, more = {}, ...inner) => make(document.createElementNS('http://www.w3.org/2000/svg', name), more, inner);
export const code = text => el('code', {}, text);
export const soft = text => el('p', { class: 'soft' }, text);

export function button(text, label, act, kind = null) {
  const made = el('button', { 'aria-label': label, class: kind, type: 'button' }, text);
  made.addEventListener('click', () => act(made));
  return made;
}

/** Whether this is a phone's width, as storage.css has it. */
export const narrow = matchMedia('(max-width: 40rem)').matches;

/**
 * A table; columns are [title, is a number?], cells are texts or elements.
 *
 * On a phone each row is a block, and each cell says its column itself. Browsers take what is no longer laid out as a
 * table for none, so the roles are written down.
 */
export function table(columns, rows) {
  const classes = (title, number) => [number ? 'number' : '', typeof title === 'string' ? '' : 'control'].join(' ').trim() || null;
  const head = ([title, number]) => el('th', { scope: 'col', role: 'columnheader', class: classes(title, number) }, title);
  const cell = (content, [title, number]) => el('td', { role: 'cell', class: number ? 'number' : null, 'data-column': typeof title === 'string' ? title : null }, content);
  return el('div', { class: 'wide' }, el('table', { role: 'table' },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...columns.map(head))),
    el('tbody', { role: 'rowgroup' }, ...rows.map(row => el('tr', { role: 'row' }, ...row.map((content, at) => cell(content, columns[at])))))));
}

/** Put something in place of all that is in an element. */
export function fill(id, ...content) {
  document.getElementById(id).replaceChildren(...content.filter(one => one !== undefined && one !== null));
}
