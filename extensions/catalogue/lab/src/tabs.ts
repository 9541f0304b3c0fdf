import { button, make } from './dom.js';

interface ITab {
  button: HTMLButtonElement;
  page: HTMLElement;
  label: string;
}

/** Pages of which one is shown; arrow keys go from one to the next. */
export class Tabs<Name extends string> {
  readonly node = make('div', 'cubehub-cat-tabs');
  shown: Name;

  constructor(label: string, pages: Record<Name, [label: string, page: HTMLElement]>, turn: (name: Name) => void) {
    this.node.setAttribute('role', 'tablist');
    this.node.setAttribute('aria-label', label);
    for (const [name, [text, page]] of Object.entries(pages) as [Name, [string, HTMLElement]][]) {
      const one = button(text, () => turn(name), 'cubehub-cat-tab');
      one.setAttribute('role', 'tab');
      one.id = `cubehub-cat-tab-${name}`;
      page.id = `cubehub-cat-page-${name}`;
      page.setAttribute('role', 'tabpanel');
      page.setAttribute('aria-labelledby', one.id);
      one.setAttribute('aria-controls', page.id);
      this.tabs.set(name, { button: one, page, label: text });
      this.node.append(one);
    }
    const names = [...this.tabs.keys()];
    this.shown = names[0];
    this.node.addEventListener('keydown', event => {
      const at = names.indexOf(this.shown);
      const next = { ArrowRight: at + 1, ArrowLeft: at + names.length - 1, Home: 0, End: names.length - 1 }[event.key];
      if (next !== undefined) {
        const name = names[next % names.length];
        turn(name);
        this.tabs.get(name)!.button.focus();
        event.preventDefault();
      }
    });
  }

  get pages(): HTMLElement[] {
    return [...this.tabs.values()].map(one => one.page);
  }

  /** The page that is shown. */
  get page(): HTMLElement {
    return this.tabs.get(this.shown)!.page;
  }

  turnTo(name: Name): void {
    this.shown = name;
    for (const [other, { button: one, page }] of this.tabs) {
      const here = other === name;
      one.setAttribute('aria-selected', String(here));
      one.tabIndex = here ? 0 : -1;
      page.hidden = !here;
    }
  }

  /** How much there is on a page, in its tab. */
  count(name: Name, count: number): void {
    const { button: one, label } = this.tabs.get(name)!;
    one.textContent = count ? `${label} (${count})` : label;
  }

  private readonly tabs = new Map<Name, ITab>();
}
