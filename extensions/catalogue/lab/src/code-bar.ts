import type { TranslationBundle } from '@jupyterlab/translation';

import type { ICode, ITemplate } from './contract.js';
import { button, fold, input, labelled, make, select } from './dom.js';
import type { CatalogueModel } from './model.js';
import { troubleOf } from './trouble.js';

/** From what is picked, or from the search, to a cell: and whether it fits into the person's memory. */
export class CodeBar {
  readonly node = make('div', 'cubehub-cat-code');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    private readonly insert: (code: string) => Promise<void>
  ) {
    this.items = button(trans.__('Insert code'), () => void this.give({ keys: this.only ? [this.only] : model.meant.map(row => row.key) }), 'cubehub-mod-main');
    this.whole = button(trans.__('Code for the search'), () => void this.give({}));
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
    this.state.setAttribute('role', 'status');
    const options = fold(trans.__('How'), false, labelled(trans.__('Variant'), this.variant), labelled(trans.__('Bands, such as red, nir'), this.bands), labelled(trans.__('Template'), this.template));
    options.node.addEventListener('toggle', () => void this.loadTemplates());
    this.node.append(make('div', 'cubehub-cat-buttons', this.items, this.whole), options.node, this.state);
  }

  /** The copy of an item that is looked at; null: what is picked in the list. */
  of(key: string | null): void {
    this.only = key;
    this.write();
  }

  write(): void {
    const count = this.only ? 1 : this.model.meant.length;
    this.items.disabled = !count || !this.model.results.search;
    this.items.textContent = count > 1 ? this.trans._n('Insert code for %1 item', 'Insert code for %1 items', count) : this.trans.__('Insert code');
    this.whole.disabled = !this.model.asked;
  }

  /** Put the code in, and say what it will take.
   *
   * @param of - Keys of items; without any the whole search.
   */
  async give(of: { keys?: string[] }, options: { variant?: string; template?: string } = {}): Promise<void> {
    const { asked, results, requests } = this.model;
    if (!asked) {
      return;
    }
    const given = { variant: options.variant ?? this.variant.value, template: options.template ?? this.template.value };
    const bands = this.bands.value.split(',').map(one => one.trim()).filter(Boolean);
    const body = {
      ...(of.keys?.length ? { search: results.search, keys: of.keys } : { query: asked.query, catalogues: asked.catalogues, search: results.search }),
      options: { ...Object.fromEntries(Object.entries(given).filter(([, value]) => value)), ...(bands.length ? { bands } : {}) }
    };
    this.state.className = 'cubehub-cat-hint';
    this.state.textContent = this.trans.__('Being written …');
    try {
      const code = await requests.code(body);
      await this.insert(code.code);
      this.tell(code);
    } catch (error) {
      const { message, hint } = troubleOf(error);
      this.state.className = 'cubehub-cat-trouble';
      this.state.textContent = `${message} ${hint}`;
    }
  }

  private tell({ estimate, needs, warnings }: ICode): void {
    const { trans } = this;
    const size = estimate?.text ?? '';
    this.state.replaceChildren(make('span', '', trans.__('Inserted. %1', size)));
    if (estimate?.ratio && estimate.ratio > 0) {
      const meter = make('meter', 'cubehub-cat-meter');
      [meter.min, meter.max, meter.high, meter.value] = [0, 1, 0.7, Math.min(1, estimate.ratio)];
      meter.setAttribute('aria-label', trans.__('Share of your memory'));
      this.state.append(meter);
    }
    for (const text of [...(needs?.length ? [trans.__('It needs %1.', needs.join(', '))] : []), ...(warnings ?? [])]) {
      this.state.append(make('span', 'cubehub-cat-facts', text));
    }
  }

  private async loadTemplates(): Promise<void> {
    if (this.loaded) {
      return;
    }
    this.loaded = true;
    try {
      const templates: ITemplate[] = await this.model.requests.templates();
      for (const one of templates) {
        if (one.id !== this.template.value) {
          const option = new Option(one.title, one.id);
          option.title = one.description;
          this.template.append(option);
        }
      }
    } catch {
      this.loaded = false; // the usual one is always there
    }
  }

  private readonly items: HTMLButtonElement;
  private readonly whole: HTMLButtonElement;
  private readonly variant: HTMLSelectElement;
  private readonly template: HTMLSelectElement;
  private readonly bands = input('text');
  private readonly state = make('div', 'cubehub-cat-hint');
  private loaded = false;
  private only: string | null = null;
}
