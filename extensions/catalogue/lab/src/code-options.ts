import type { TranslationBundle } from '@jupyterlab/translation';

import type { IBand, ICode, ITemplate } from './contract.js';
import { checkbox, fold, input, labelled, make, named, select } from './dom.js';
import type { Requests } from './request.js';
import { troubleOf } from './trouble.js';

/** Items may be picked faster than anybody wants their bands to be asked for. */
const WAIT_MS = 300;
/** Bands that a person looks through; a text finds the others. */
const MANY = 12;

/** Of what a cell is written: keys of a search's items, or a search. */
export type Of = { search: string; keys: string[] } | { search: string | null; query: object; catalogues: string[] };

/** What a command may say in place of the fields. */
export interface IChosen {
  variant?: string;
  template?: string;
  bands?: string[];
}

/** How the code opens the data: variant, bands and template; the bands are those that the items have. */
export class CodeOptions {
  readonly node: HTMLDetailsElement;

  /**
   * @param of - Of what the cell would be; null where nothing is picked.
   */
  constructor(
    private readonly requests: Requests,
    private readonly trans: TranslationBundle,
    private readonly of: () => Promise<Of | null>
  ) {
    this.variant = select([
      ['', trans.__('what fits')],
      ['eager', trans.__('loaded into memory')],
      ['dask', trans.__('lazy, with Dask')],
      ['cluster', trans.__('on a Dask cluster')],
      ['cube', trans.__('the cube of the cube server')],
      ['xcube', trans.__('as an xcube data store')],
      ['publish', trans.__('and published as a cube of mine')],
      ['build', trans.__('as a recipe for an administrator')]
    ]);
    this.template = select([['', trans.__('the usual one')]]);
    this.size.setAttribute('role', 'status');
    this.find = labelled(trans.__('Find a band'), this.text);
    this.text.addEventListener('input', () => this.writeBands());
    this.group.setAttribute('role', 'group');
    this.group.setAttribute('aria-label', trans.__('Bands and files'));
    this.group.append(make('span', 'cubehub-cat-label', trans.__('Bands and files')), this.hint, this.find, this.list);
    const folded = fold(trans.__('How'), false, labelled(trans.__('Variant'), this.variant), labelled(trans.__('Template'), this.template), this.group, this.size);
    this.node = folded.node;
    this.say = folded.say;
    this.node.addEventListener('toggle', () => {
      void this.loadTemplates();
      this.stale();
    });
    this.variant.addEventListener('change', () => this.changed());
    this.template.addEventListener('change', () => this.changed());
    this.writeBands();
  }

  /** What the route takes as its options. */
  chosen(said: IChosen = {}): Record<string, unknown> {
    const { variant = this.variant.value, template = this.template.value, bands = [...this.wanted] } = said;
    return { ...(variant ? { variant } : {}), ...(template ? { template } : {}), ...(bands.length ? { bands } : {}) };
  }

  /** Other items are meant: ask for their bands, if somebody looks. */
  stale(): void {
    clearTimeout(this.timer);
    this.asked++;
    if (this.node.open) {
      this.timer = window.setTimeout(() => void this.look(), WAIT_MS);
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.asked++;
  }

  private changed(): void {
    const count = this.wanted.size;
    this.say([this.variant.value, this.template.value].some(Boolean) || count ? (count ? this.trans._n('%1 band', '%1 bands', count) : this.trans.__('changed')) : '');
    this.stale();
  }

  /** Ask what could be chosen, and how much memory what is chosen takes. */
  private async look(): Promise<void> {
    const asked = ++this.asked;
    this.size.className = 'cubehub-cat-hint';
    try {
      const of = await this.of();
      if (asked !== this.asked) {
        return;
      }
      if (of === null) {
        [this.known, this.size.textContent] = [[], ''];
        this.writeBands();
        return;
      }
      this.size.textContent = this.trans.__('Asking which bands there are …');
      // once without what is chosen: bands that these items have not must not hide those that they have
      const plain: ICode = await this.requests.code({ ...of, options: {} });
      if (asked !== this.asked) {
        return;
      }
      this.known = plain.bands ?? [];
      this.writeBands();
      const options = this.chosen();
      const told = Object.keys(options).length ? await this.requests.code({ ...of, options }) : plain;
      if (asked === this.asked) {
        this.size.textContent = told.estimate?.text ?? '';
      }
    } catch (error) {
      if (asked === this.asked) {
        const { message, hint } = troubleOf(error);
        this.size.className = 'cubehub-cat-trouble';
        this.size.textContent = `${message} ${hint}`;
      }
    }
  }

  private writeBands(): void {
    const { trans } = this;
    const all = new Map<string, IBand & { collections: string[] }>();
    for (const band of this.known) {
      const there = all.get(band.name);
      if (there) {
        there.collections.push(band.collection);
        there.chosen ||= band.chosen;
      } else {
        all.set(band.name, { ...band, collections: [band.collection] });
      }
    }
    for (const name of this.wanted) {
      if (!all.has(name)) {
        all.set(name, { name, title: name, collection: '', kind: '', chosen: false, collections: [] });
      }
    }
    const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = [...all.values()].filter(
      one => this.wanted.has(one.name) || words.every(word => `${one.name} ${one.title}`.toLowerCase().includes(word))
    );
    this.find.hidden = all.size <= MANY;
    this.hint.textContent = all.size ? trans.__('None chosen opens the usual ones.') : trans.__('They are listed once items are picked.');
    const several = new Set(this.known.map(one => one.collection)).size > 1;
    const focused = (document.activeElement as HTMLElement | null)?.dataset?.band;
    this.list.replaceChildren(
      ...shown.map(one => {
        const box = checkbox(one.title || one.name, this.wanted.has(one.name), checked => {
          if (checked) {
            this.wanted.add(one.name);
          } else {
            this.wanted.delete(one.name);
          }
          this.changed();
        });
        (box.firstElementChild as HTMLElement).dataset.band = one.name;
        const about = [
          one.name === one.title ? '' : one.name,
          one.kind,
          several ? one.collections.join(', ') : '',
          one.chosen ? trans.__('usual') : '',
          one.collections.length ? '' : trans.__('not in these items')
        ].filter(Boolean);
        box.append(make('span', 'cubehub-cat-facts', named(about.join(' · '))));
        return make('li', '', box);
      })
    );
    if (focused !== undefined) {
      this.list.querySelector<HTMLElement>(`[data-band="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  private async loadTemplates(): Promise<void> {
    if (this.loaded || !this.node.open) {
      return;
    }
    this.loaded = true;
    try {
      const templates: ITemplate[] = await this.requests.templates();
      for (const one of templates) {
        const option = new Option(one.title, one.id);
        option.title = one.description;
        this.template.append(option);
      }
    } catch {
      this.loaded = false; // the usual one is always there
    }
  }

  private readonly variant: HTMLSelectElement;
  private readonly template: HTMLSelectElement;
  private readonly text = input('search');
  private readonly find: HTMLElement;
  private readonly group = make('div', 'cubehub-cat-field');
  private readonly hint = make('span', 'cubehub-cat-hint');
  private readonly list = make('ul', 'cubehub-cat-choices cubehub-cat-bands');
  private readonly size = make('p', 'cubehub-cat-hint');
  private readonly say: (text: string) => void;
  private readonly wanted = new Set<string>();
  private known: IBand[] = [];
  private loaded = false;
  private asked = 0;
  private timer = 0;
}
