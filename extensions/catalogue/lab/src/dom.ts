import type { ITrouble } from './contract.js';

/** Make an element. Texts are set as text only: catalogues say whatever somebody wrote into them. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = '',
  ...inside: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  if (className) {
    node.className = className;
  }
  node.append(...inside);
  return node;
}

/** A foreign text that cannot turn the line around it, whatever letters it has. */
export function named(text: string, className = ''): HTMLElement {
  return make('bdi', `cubehub-cat-name ${className}`.trim(), text);
}

export function button(label: string, click: () => void, className = ''): HTMLButtonElement {
  const node = make('button', `cubehub-cat-button ${className}`.trim(), label);
  node.type = 'button';
  node.addEventListener('click', click);
  return node;
}

/** Switch a button on, or off for a reason that those who point at it are told. */
export function allow(node: HTMLButtonElement, reason: string | null): void {
  node.disabled = reason !== null;
  node.title = reason ?? '';
}

let made = 0;

/** A control with its label, which is read to those who do not see it. */
export function labelled<Control extends HTMLElement>(text: string, control: Control, hint = ''): HTMLElement {
  control.id ||= `cubehub-cat-${++made}`;
  const label = make('label', 'cubehub-cat-label', text);
  label.htmlFor = control.id;
  const field = make('div', 'cubehub-cat-field', label, control);
  if (hint) {
    const said = make('span', 'cubehub-cat-hint', hint);
    said.id = `${control.id}-hint`;
    control.setAttribute('aria-describedby', said.id);
    field.append(said);
  }
  return field;
}

export function input(type: string, value = '', placeholder = ''): HTMLInputElement {
  const node = make('input', 'cubehub-cat-input');
  node.type = type;
  node.value = value;
  node.placeholder = placeholder;
  node.autocomplete = 'off';
  node.spellcheck = false;
  return node;
}

export function select(options: [value: string, text: string][], value = ''): HTMLSelectElement {
  const node = make('select', 'cubehub-cat-input');
  for (const [one, text] of options) {
    node.append(new Option(text, one, one === value, one === value));
  }
  return node;
}

export function checkbox(text: string, checked: boolean, changed: (checked: boolean) => void): HTMLLabelElement {
  const box = make('input');
  box.type = 'checkbox';
  box.checked = checked;
  box.addEventListener('change', () => changed(box.checked));
  return make('label', 'cubehub-cat-check', box, named(text));
}

/** A part of the panel that folds; closed ones say in their summary what is set inside. */
export function fold(title: string, open: boolean, ...inside: Node[]): { node: HTMLDetailsElement; say: (text: string) => void } {
  const said = make('span', 'cubehub-cat-set');
  const summary = make('summary', '', make('span', '', title), said);
  const node = make('details', 'cubehub-cat-fold', summary, ...inside);
  node.open = open;
  return {
    node,
    say: text => {
      said.textContent = text;
    }
  };
}

/** A link to another site is followed only where it can be one, and never tells where it was clicked. */
export function outward(href: string, text: string): HTMLElement {
  if (!/^https?:\/\//i.test(href)) {
    return named(text);
  }
  const node = make('a', 'cubehub-cat-link', text);
  node.href = href;
  node.target = '_blank';
  node.rel = 'noopener noreferrer';
  return node;
}

/** Scroll what is around a part until it begins where that does; nothing further out moves. */
export function toTop(node: HTMLElement): void {
  let around = node.parentElement;
  while (around && !/auto|scroll/.test(getComputedStyle(around).overflowY)) {
    around = around.parentElement;
  }
  if (around) {
    around.scrollTop += node.getBoundingClientRect().top - around.getBoundingClientRect().top;
  }
}

/** An error as the panel shows it: what, what next, and its code, which the documentation and administrators know it by. */
export function told({ code, message, hint }: ITrouble, name = ''): (Node | string)[] {
  const known = code && code !== 'unexpected' ? [' ', make('code', 'cubehub-cat-error-code', code)] : [];
  return [named(`${name}${message}`), ' ', named(hint ?? ''), ...known];
}
