import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes } from './bytes.js';
import { joined, MOST, same, without } from './cart.js';
import type { IDownload, IPicked, ISavedSearch, ITrouble } from './contract.js';
import { allow, button, input, labelled, make, named, told } from './dom.js';
import { linkOf, queryOf, searchFrom } from './form.js';
import { copyText } from './item-view.js';
import type { CatalogueModel } from './model.js';
import { troubleOf } from './trouble.js';

const SUFFIX = '.cubehub-search.json';
/** While something is on its way. */
const LOOK_MS = 1000;
/** After a failure. */
const AGAIN_MS = 5000;

interface IActions {
  run: (search: { query: ISavedSearch['query']; catalogues: string[] }) => void;
  find: (items: IPicked[]) => void;
}

/** Searches that were kept, favourites and the cart. */
export class Kept {
  readonly searches = make('div', 'cubehub-cat-page');
  readonly cart = make('div', 'cubehub-cat-page cubehub-mod-foot');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    private readonly actions: IActions,
    private readonly page: string,
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
    this.cart.append(make('div', 'cubehub-cat-scrolled', make('h3', '', trans.__('Cart')), this.carted), code);
  }

  write(): void {
    const { trans, model } = this;
    const { searches, favourites, cart } = model.saved;
    for (const of of ['favourites', 'cart'] as const) {
      this.emptied[of] = without(this.emptied[of], model.saved[of]); // what came back is not lost
    }
    const items = [...favourites, ...cart];
    const key = JSON.stringify([model.saved, this.emptied, items.map(one => [model.titleOf(one.catalogue), model.isGone(one)])]);
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
    const lost = this.emptied[of];
    const back = button(trans._n('Put %1 item back', 'Put %1 items back', lost.length), () => void this.model.change(saved => ({ ...saved, [of]: joined(lost, saved[of]) })));
    const undo = lost.length ? [make('li', 'cubehub-cat-line', make('span', 'cubehub-cat-hint', trans.__('Emptied.')), back)] : [];
    if (!items.length) {
      return undo.length ? undo : [make('li', 'cubehub-cat-hint', trans.__('Nothing here yet: pick items in the list.'))];
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
    allow(all, items.length > MOST ? trans.__('A list is of at most %1 of them. Remove some.', MOST) : null);
    const none = button(trans.__('Empty'), () => void this.empty(of));
    return [...rows, make('li', 'cubehub-cat-buttons', all, none), ...undo];
  }

  /** Without asking, but with a way back until the page is loaded anew. */
  private async empty(of: 'favourites' | 'cart'): Promise<void> {
    const shown = this.model.saved[of]; // also where another window was faster
    let lost = shown;
    await this.model.change(saved => {
      lost = joined(shown, saved[of]);
      return { ...saved, [of]: [] };
    });
    if (!this.model.saved[of].length) {
      this.emptied[of] = joined(lost, this.emptied[of]);
      this.write();
      const list = of === 'cart' ? this.carted : this.favourites;
      list.querySelector('button')?.focus(); // the one that was pressed is gone
    }
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
      () => void copyText(linkOf(this.page, one.query, one.catalogues), this.state, trans),
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
      let replaced = false;
      const id = crypto.randomUUID?.() ?? `${Date.now()}`;
      await model.change(saved => {
        replaced = saved.searches.some(one => one.name === name);
        return { ...saved, searches: [{ id, name, query, catalogues }, ...saved.searches.filter(one => one.name !== name)] };
      });
      if (!model.savedTrouble) {
        this.state.textContent = replaced ? trans.__('Kept in your home, in place of the earlier one of this name.') : trans.__('Kept in your home.');
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

  private readonly emptied: Record<'favourites' | 'cart', IPicked[]> = { favourites: [], cart: [] };
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
    let wait = LOOK_MS;
    try {
      const all = await this.model.requests.downloads();
      this.moving = all.some(one => one.state === 'running' || one.state === 'waiting');
      const { trouble } = this;
      this.state.replaceChildren(...(trouble ? told(trouble) : all.length ? [] : [this.trans.__('None yet: items have them under Assets.')]));
      const focused = (document.activeElement as HTMLElement | null)?.dataset?.download;
      this.list.replaceChildren(...all.map(one => this.download(one)));
      if (focused) {
        this.list.querySelector<HTMLElement>(`[data-download="${CSS.escape(focused)}"]`)?.focus();
      }
    } catch (error) {
      this.state.replaceChildren(...told(troubleOf(error)));
      wait = AGAIN_MS; // what moved before moves still, as far as anybody knows
    }
    clearTimeout(this.timer); // of another look, which began meanwhile
    if (this.moving && this.node.isConnected && !this.node.hidden) {
      this.timer = window.setTimeout(() => void this.look(), wait);
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
    const facts = [states[one.state], sizes, one.checked ? trans.__('its checksum holds') : '', one.warning ?? '', one.path];
    const node = make('li', '', named(one.name), make('span', 'cubehub-cat-facts', named(facts.filter(Boolean).join(' · '))));
    if (one.state === 'running' || one.state === 'waiting') {
      const bar = make('progress', 'cubehub-cat-bar');
      bar.setAttribute('aria-label', one.name);
      if (one.total) {
        bar.max = one.total;
        bar.value = one.bytes;
      }
      // the server keeps what came of one that failed, and nothing of one that is cancelled
      node.append(bar, this.act(one, trans.__('Cancel and remove what came'), () => this.model.requests.cancelDownload(one.id)));
    } else {
      if (one.state !== 'done') {
        const again = one.state === 'failed' && one.bytes > 0 ? trans.__('Go on') : trans.__('Begin anew');
        node.append(this.act(one, again, () => this.model.requests.resumeDownload(one.id)));
      }
      // what is done stays in the home, what is not is given up
      node.append(' ', this.act(one, trans.__('Off the list'), () => this.model.requests.cancelDownload(one.id)));
    }
    if (one.error) {
      node.append(make('p', 'cubehub-cat-trouble', ...told(one.error)));
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
  private moving = false;
}
