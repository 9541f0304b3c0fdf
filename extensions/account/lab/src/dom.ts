/** Make an element. Texts are set as text only: names of files are whatever somebody called them. */
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

/** A name that cannot turn the line around it, whatever letters it has. */
export function named(text: string): HTMLElement {
  return make('bdi', 'cubehub-home-name', text);
}

export function button(label: string, click: () => void, className = ''): HTMLButtonElement {
  const node = make('button', `cubehub-home-button ${className}`.trim(), label);
  node.type = 'button';
  node.addEventListener('click', click);
  return node;
}
