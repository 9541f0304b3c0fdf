import type { TranslationBundle } from '@jupyterlab/translation';

import { bandsOf, formatOf } from './bands.js';
import { formatBytes } from './bytes.js';
import type { IAsset, IFound, IItem, IRow } from './contract.js';
import { button, checkbox, make, named, outward, told, toTop } from './dom.js';
import type { CatalogueModel } from './model.js';
import { span } from './times.js';
import { troubleOf } from './trouble.js';

/** Assets that are shown; a catalogue may name any number. */
const MOST = 500;

/** A copy of an item that is looked at. */
export interface ILooked {
  search: string;
  key: string;
}

interface IActions {
  back: () => void;
  shown: (what: ILooked | null) => void;
  cart: (row: IRow) => void;
  favourite: (row: IRow) => void;
  /** Keys are of one search only: the next one has the same, of other items. */
  download: (search: string, key: string, assets: string[]) => Promise<void>;
  code: (search: string, key: string, assets: string[]) => Promise<void>;
}

/** Relations that say where an item comes from. */
const ORIGIN = new Set(['derived_from', 'via', 'canonical', 'processing-expression', 'processing-software', 'about', 'describedby', 'license', 'cite-as', 'alternate']);

/** One item: its picture, what it says of itself, its assets, where it comes from. */
export class ItemView {
  readonly node = make('div', 'cubehub-cat-item');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    private readonly actions: IActions
  ) {
    this.node.hidden = true;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Item'));
  }

  /** Of which search the item is that is shown. */
  search: string | null = null;

  async show(row: IRow, key = row.key, search = this.model.results.search): Promise<void> {
    const { trans, model } = this;
    this.search = search;
    this.node.hidden = false;
    const back = button(trans.__('← Back to the list'), () => this.actions.back());
    const state = make('p', 'cubehub-cat-hint', trans.__('Asking …'));
    state.setAttribute('role', 'status');
    this.node.replaceChildren(back, make('h3', '', named(row.title)), state);
    back.focus();
    if (!search) {
      return;
    }
    const shown = ++this.shown;
    this.actions.shown({ search, key });
    let found: IFound;
    try {
      found = await model.requests.item(search, key);
    } catch (error) {
      if (shown === this.shown) {
        state.className = 'cubehub-cat-trouble';
        state.setAttribute('role', 'alert');
        state.replaceChildren(...told(troubleOf(error)), ' ', button(trans.__('Try again'), () => void this.show(row, key, search)));
      }
      return;
    }
    if (shown !== this.shown) {
      return;
    }
    state.remove();
    const tools = make(
      'div', 'cubehub-cat-buttons',
      button(trans.__('To the cart'), () => this.actions.cart(row)),
      button(trans.__('Favourite'), () => this.actions.favourite(row))
    );
    this.node.append(this.facts(row, found), tools);
    if (row.picture) {
      const image = make('img', 'cubehub-cat-quicklook');
      image.alt = trans.__('Quicklook of %1', row.title);
      image.addEventListener('error', () => image.remove());
      image.src = model.requests.picture(search, key, 'quicklook');
      this.node.append(image);
    }
    this.node.append(...this.copies(search, row, key), this.assets(search, key, found), this.properties(found), ...this.origin(found));
    toTop(this.node); // below a long form nobody would see it
  }

  hide(): void {
    this.shown++;
    this.search = null;
    this.actions.shown(null);
    this.node.hidden = true;
    this.node.replaceChildren();
  }

  private copies(search: string, row: IRow, key: string): HTMLElement[] {
    const all = [row, ...row.copies];
    const versions = new Set(all.map(copy => copy.version ?? ''));
    if (all.length < 2) {
      return [];
    }
    const list = make('ul', 'cubehub-cat-choices');
    for (const copy of all) {
      // another version is the same scene processed otherwise, not the same data
      const version = versions.size > 1 && copy.version ? this.trans.__('processing %1', copy.version) : '';
      const text = [this.model.titleOf(copy.catalogue), copy.collection_title ?? copy.collection, copy.id, version].filter(Boolean).join(' · ');
      const here = copy.key === key;
      const one = button(text, () => void this.show(row, copy.key, search), 'cubehub-mod-small');
      one.setAttribute('aria-pressed', String(here));
      list.append(make('li', '', one));
    }
    return [make('h4', '', this.trans.__('The same scene at')), list];
  }

  /** When, how cloudy, by what, how large, and under which licence: what decides whether somebody wants it. */
  private facts(row: IRow, { item }: IFound): HTMLElement {
    const { trans } = this;
    const licence = item.properties.license;
    const terms = item.links?.find(link => link.rel === 'license' && typeof link.href === 'string');
    const texts = [
      span(row.start, row.end),
      row.cloud_cover === null ? '' : trans.__('%1 % clouds', Math.round(row.cloud_cover)),
      row.platform ?? '',
      row.bytes ? formatBytes(row.bytes) : '',
      projectionsOf(item).join(', '),
      typeof licence === 'string' ? trans.__('licence: %1', licence) : ''
    ];
    const facts = make('p', 'cubehub-cat-facts', named(texts.filter(Boolean).join(' · ')));
    if (terms) {
      facts.append(' · ', outward(terms.href, trans.__('its licence')));
    }
    return facts;
  }

  private properties({ catalogue, item }: IFound): HTMLElement {
    const list = make('dl', 'cubehub-cat-facts-list');
    const add = (name: string, value: unknown): void => {
      if (value !== null && value !== undefined && value !== '') {
        list.append(make('dt', '', named(name)), make('dd', '', named(textOf(value))));
      }
    };
    add('id', item.id);
    add(this.trans.__('Catalogue'), catalogue && this.model.titleOf(catalogue));
    add('collection', item.collection);
    for (const name of Object.keys(item.properties).sort()) {
      add(name, item.properties[name]);
    }
    return make('details', 'cubehub-cat-fold', make('summary', '', this.trans.__('Properties')), list);
  }

  private assets(search: string, key: string, { item }: IFound): HTMLElement {
    const { trans } = this;
    const wanted = new Set<string>();
    const state = make('p', 'cubehub-cat-hint');
    state.setAttribute('role', 'status');
    const get = button(trans.__('Download to my home'), () => {
      get.disabled = true;
      this.actions
        .download(search, key, [...wanted])
        .then(() => {
          state.textContent = trans.__('Begun: see Downloads.');
        })
        .catch((error: unknown) => {
          state.replaceChildren(...told(troubleOf(error)));
        })
        .finally(() => {
          get.disabled = wanted.size === 0;
        });
    });
    const code = button(trans.__('Insert code for these'), () => {
      code.disabled = true;
      void this.actions.code(search, key, [...wanted]).finally(() => {
        code.disabled = wanted.size === 0;
      });
    });
    get.disabled = code.disabled = true;
    const groups = new Map<string, [string, IAsset][]>();
    const all = Object.entries(item.assets ?? {});
    for (const [name, asset] of all.slice(0, MOST)) {
      const role = asset.roles?.[0] ?? trans.__('other');
      const group = groups.get(role);
      if (group) {
        group.push([name, asset]);
      } else {
        groups.set(role, [[name, asset]]);
      }
    }
    const lists: HTMLElement[] = [];
    for (const [role, assets] of [...groups].sort(([a], [b]) => Number(b === 'data') - Number(a === 'data'))) {
      const list = make('ul', 'cubehub-cat-choices');
      for (const [name, asset] of assets) {
        const box = checkbox(asset.title || name, false, checked => {
          if (checked) {
            wanted.add(name);
          } else {
            wanted.delete(name);
          }
          get.disabled = code.disabled = wanted.size === 0;
        });
        const size = asset['file:size'];
        const epsg = asset['proj:code'] ?? (asset['proj:epsg'] ? `EPSG:${asset['proj:epsg']}` : '');
        const about = [name === asset.title ? '' : name, formatOf(asset.type), typeof size === 'number' ? formatBytes(size) : '', epsg, ...bandsOf(asset)];
        box.append(make('span', 'cubehub-cat-facts', named(about.filter(Boolean).join(' · '))));
        box.title = asset.type ?? '';
        const copy = button(trans.__('Copy link'), () => void copyText(asset.href, state, trans), 'cubehub-mod-small');
        copy.setAttribute('aria-label', trans.__('Copy link of %1', name));
        list.append(make('li', 'cubehub-cat-line', isPage(asset) ? outward(asset.href, asset.title || name) : box, copy));
      }
      lists.push(make('h5', '', named(role)), list);
    }
    if (all.length > MOST) {
      lists.push(make('p', 'cubehub-cat-hint', trans.__('%1 of %2', MOST, all.length)));
    }
    return make('section', '', make('h4', '', trans.__('Assets')), ...lists, make('div', 'cubehub-cat-buttons', code, get), state);
  }

  private origin({ item }: IFound): HTMLElement[] {
    const links = (item.links ?? []).filter(link => ORIGIN.has(link.rel) && typeof link.href === 'string');
    if (!links.length) {
      return [];
    }
    const list = make('ul', 'cubehub-cat-choices');
    for (const link of links.slice(0, 40)) {
      list.append(make('li', '', `${link.rel}: `, outward(link.href, link.title || link.href)));
    }
    return [make('section', '', make('h4', '', this.trans.__('Where it comes from')), list)];
  }

  private shown = 0;
}

/** A page to look at, such as the viewer's: nothing to load or download. */
function isPage({ type }: IAsset): boolean {
  return typeof type === 'string' && /^text\/html\b/i.test(type);
}

/** Codes of its projections: its own, else those of its assets. */
function projectionsOf({ properties, assets }: IItem): string[] {
  const codeOf = (said: Record<string, unknown>): string => {
    const [code, epsg] = [said['proj:code'], said['proj:epsg']];
    return typeof code === 'string' ? code : typeof epsg === 'number' ? `EPSG:${epsg}` : '';
  };
  const own = codeOf(properties);
  const all = own ? [own] : Object.values(assets ?? {}).map(asset => codeOf(asset as unknown as Record<string, unknown>));
  return [...new Set(all.filter(Boolean))].slice(0, 3);
}

function textOf(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 500 ? `${text.slice(0, 500)} …` : text;
}

export async function copyText(text: string, state: HTMLElement, trans: TranslationBundle): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    state.textContent = trans.__('Copied.');
  } catch {
    // no clipboard without https: show it to be copied by hand
    state.replaceChildren(make('code', '', text));
  }
}
