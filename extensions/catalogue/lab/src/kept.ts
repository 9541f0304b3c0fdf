import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes } from './bytes.js';
import { same } from './cart.js';
import type { IDownload, IPicked, ISavedSearch, ITrouble } from './contract.js';
import { button, input, labelled, make, named } from './dom.js';
import { linkOf, queryOf, searchFrom } from './form.js';
import { copyText } from './item-view.js';
import type { CatalogueModel } from './model.js';
import { troubleOf } from './trouble.js';

const SUFFIX = '.cubehub-search.json';
/** While something is on its way. */
const LOOK_MS = 1000;

interface IActions {
  run: (search: { query: ISavedSearch['query']; catalogues: string[] }) => void;
  find: (items: IPicked[]) => void;
}

/** Searches that were kept, favourites and the cart. */
export class Kept {
  readonly searches = make('div', 'cubehub-cat-page');
  readonly cart = make('div', 'cubehub-cat-page');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    private readonly actions: IActions,
    code: HTMLElement
  ) {
    this.state.setAttribute('role', 'status');
    const name = input('text');
    const form = make('form', '', labelled(trans.__('Keep this search as'), name));
    const keep = button(trans.__('Keep'), () => undefined, 'cubehub-mod-main');
    keep.type = 'submit';
    form.append(keep);
    form.addEventListener('submit', event => {
      event.preventDefault();
      void this.keep(name.value.trim()).then(kept => {
        if (kept) {
          name.value = '';
        }
      });
    });
    const file = input('file');
    file.accept = '.json,application/json';
    file.addEventListener('change', () => void this.open(file));
    this.searches.append(
      make('h3', '', trans.__('Kept searches')), form, this.state, this.list,
      labelled(trans.__('A search from a file'), file),
      make('h3', '', trans.__('Favourites')), this.favourites
    );
    this.cart.append(make('h3', '', trans.__('Cart')), this.carted, code);
  }

  write(): void {
    const { trans, model } = this;
    const { searches, favourites, cart } = model.saved;
    const items = [...favourites, ...cart];
    const key = JSON.stringify([model.saved, items.map(one => [model.titleOf(one.catalogue), model.isGone(one)])]);
    if (key === this.drawn) {
      return; // it is asked for anew whenever a page is shown: a button must not be exchanged under a click
    }
    this.drawn = key;
    this.list.replaceChildren(...searches.map(one => this.search(one)));
    if (!searches.length) {
      this.list.replaceChildren(make('li', 'cubehub-cat-hint', trans.__('None yet.')));
    }
    this.favourites.replaceChildren(...this.items(favourites, 'favourites'));
    this.carted.replaceChildren(...this.items(cart, 'cart'));
  }

  private items(items: IPicked[], of: 'favourites' | 'cart'): HTMLElement[] {
    const { trans } = this;
    if (!items.length) {
      return [make('li', 'cubehub-cat-hint', trans.__('Nothing here yet: pick items in the list.'))];
    }
    const rows = items.map(item => {
      const away = button(
        trans.__('Remove'),
        () => void this.model.change(saved => ({ ...saved, [of]: saved[of].filter(one => !same(one, item)) })),
        'cubehub-mod-small'
      );
      away.setAttribute('aria-label', trans.__('Remove %1', item.title));
      const words = make(
        'span', '', named(item.title),
        make('span', 'cubehub-cat-facts', named([this.model.titleOf(item.catalogue), item.collection].filter(Boolean).join(' · ')))
      );
      if (this.model.isGone(item)) {
        words.append(make('span', 'cubehub-cat-facts cubehub-mod-warning', trans.__('no longer in its catalogue')));
      }
      return make('li', 'cubehub-cat-line', words, away);
    });
    const all = button(trans.__('Show these in the list'), () => this.actions.find(items), of === 'cart' ? '' : 'cubehub-mod-main');
    const none = button(trans.__('Empty'), () => void this.model.change(saved => ({ ...saved, [of]: [] })));
    return [...rows, make('li', 'cubehub-cat-buttons', all, none)];
  }

  private search(one: ISavedSearch): HTMLElement {
    const { trans, model } = this;
    const label = (text: string, node: HTMLElement): HTMLElement => {
      node.setAttribute('aria-label', `${text}: ${one.name}`);
      return node;
    };
    const run = button(trans.__('Search'), () => this.actions.run(one), 'cubehub-mod-small');
    const link = button(
      trans.__('Copy link'),
      () => void copyText(linkOf(location.href, one.query, one.catalogues), this.state, trans),
      'cubehub-mod-small'
    );
    const file = button(trans.__('As a file'), () => asFile(one), 'cubehub-mod-small');
    const away = button(
      trans.__('Remove'),
      () => void model.change(saved => ({ ...saved, searches: saved.searches.filter(other => other.id !== one.id) })),
      'cubehub-mod-small'
    );
    return make(
      'li', '', named(one.name),
      make('span', 'cubehub-cat-buttons', label(trans.__('Search'), run), label(trans.__('Copy link'), link), label(trans.__('As a file'), file), label(trans.__('Remove'), away))
    );
  }

  private async keep(name: string): Promise<boolean> {
    const { trans, model } = this;
    if (!name) {
      this.state.textContent = trans.__('A kept search needs a name.');
      return false;
    }
    try {
      const catalogues = model.chosen;
      const query = queryOf(model.form, catalogues);
      const id = crypto.randomUUID?.() ?? `${Date.now()}`;
      await model.change(saved => ({
        ...saved,
        searches: [{ id, name, query, catalogues }, ...saved.searches.filter(one => one.name !== name)]
      }));
      if (!model.savedTrouble) {
        this.state.textContent = trans.__('Kept in your home.');
      }
      return !model.savedTrouble;
    } catch (error) {
      this.state.textContent = error instanceof RangeError ? trans.__('This is no time, or the end is before the start: %1', error.message) : troubleOf(error).message;
      return false;
    }
  }

  private async open(file: HTMLInputElement): Promise<void> {
    const one = file.files?.[0];
    let search = null;
    try {
      search = one && one.size < 5_000_000 ? searchFrom(JSON.parse(await one.text())) : null;
    } catch {
      // told below
    }
    file.value = '';
    if (search) {
      this.actions.run(search as Parameters<IActions['run']>[0]);
    } else {
      this.state.textContent = this.trans.__('This file is no search of CubeHub.');
    }
  }

  private readonly state = make('p', 'cubehub-cat-hint');
  private readonly list = make('ul', 'cubehub-cat-choices');
  private readonly favourites = make('ul', 'cubehub-cat-choices');
  private readonly carted = make('ul', 'cubehub-cat-choices');
  private drawn = '';
}

function asFile(search: ISavedSearch): void {
  const { name, query, catalogues } = search;
  const url = URL.createObjectURL(new Blob([JSON.stringify({ name, query, catalogues }, null, 2)], { type: 'application/json' }));
  const link = make('a');
  link.href = url;
  link.download = `${name.replace(/[^\p{L}\p{N}._-]+/gu, '-').slice(0, 80) || 'search'}${SUFFIX}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** What is on its way into the home. */
export class Downloads {
  readonly node = make('div', 'cubehub-cat-page');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle
  ) {
    this.state.setAttribute('role', 'status');
    this.node.append(make('h3', '', trans.__('Downloads')), this.state, this.list);
  }

  /** Look now, and again as long as something moves and somebody looks. */
  async look(): Promise<void> {
    clearTimeout(this.timer);
    let moving = false;
    try {
      const all = await this.model.requests.downloads();
      moving = all.some(one => one.state === 'running' || one.state === 'waiting');
      const { trouble } = this;
      this.state.textContent = trouble ? `${trouble.message} ${trouble.hint}` : all.length ? '' : this.trans.__('None yet: items have them under Assets.');
      const focused = (document.activeElement as HTMLElement | null)?.dataset?.download;
      this.list.replaceChildren(...all.map(one => this.download(one)));
      if (focused) {
        this.list.querySelector<HTMLElement>(`[data-download="${CSS.escape(focused)}"]`)?.focus();
      }
    } catch (error) {
      const { message, hint } = troubleOf(error);
      this.state.textContent = `${message} ${hint}`;
    }
    if (moving && this.node.isConnected && !this.node.hidden) {
      this.timer = window.setTimeout(() => void this.look(), LOOK_MS);
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
  }

  private download(one: IDownload): HTMLElement {
    const { trans } = this;
    const states = {
      waiting: trans.__('waits'), running: trans.__('on its way'), done: trans.__('done'), failed: trans.__('failed'), cancelled: trans.__('cancelled')
    };
    const sizes = one.total ? trans.__('%1 of %2', formatBytes(one.bytes), formatBytes(one.total)) : formatBytes(one.bytes);
    const facts = [states[one.state], sizes, one.checked ? trans.__('its checksum holds') : '', one.path];
    const node = make('li', '', named(one.name), make('span', 'cubehub-cat-facts', named(facts.filter(Boolean).join(' · '))));
    if (one.state === 'running' || one.state === 'waiting') {
      const bar = make('progress', 'cubehub-cat-bar');
      bar.setAttribute('aria-label', one.name);
      if (one.total) {
        bar.max = one.total;
        bar.value = one.bytes;
      }
      node.append(bar, this.act(one, trans.__('Cancel'), () => this.model.requests.cancelDownload(one.id)));
    } else {
      if (one.state !== 'done') {
        node.append(this.act(one, trans.__('Go on'), () => this.model.requests.resumeDownload(one.id)));
      }
      // what is done stays in the home, what is not is given up
      node.append(' ', this.act(one, trans.__('Off the list'), () => this.model.requests.cancelDownload(one.id)));
    }
    if (one.error) {
      node.append(make('p', 'cubehub-cat-trouble', `${one.error.message} ${one.error.hint}`));
    }
    return node;
  }

  private act(one: IDownload, label: string, ask: () => Promise<void>): HTMLButtonElement {
    const node = button(
      label,
      () => {
        this.trouble = null;
        ask()
          .catch((error: unknown) => {
            this.trouble = troubleOf(error);
          })
          .finally(() => void this.look());
      },
      'cubehub-mod-small'
    );
    node.dataset.download = `${one.id} ${label}`;
    node.setAttribute('aria-label', `${label}: ${one.name}`);
    return node;
  }

  private readonly state = make('p', 'cubehub-cat-hint');
  private readonly list = make('ul', 'cubehub-cat-choices');
  private trouble: ITrouble | null = null;
  private timer = 0;
}
