import type { TranslationBundle } from '@jupyterlab/translation';

import { make } from './dom.js';
import type { CatalogueModel } from './model.js';

/** What is sorted by: what everybody has, and what the chosen catalogues say that they can. */
export class SortChoice {
  readonly node = make('select', 'cubehub-cat-input');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle
  ) {
    this.usual = [
      ['properties.datetime -', trans.__('newest first')],
      ['properties.datetime +', trans.__('oldest first')],
      ['properties.eo:cloud_cover +', trans.__('fewest clouds first')],
      ['id +', trans.__('by id')]
    ];
    this.node.addEventListener('change', () => {
      const at = this.node.value.lastIndexOf(' ');
      model.set({ sort: this.node.value.slice(0, at), descending: this.node.value.endsWith('-') });
    });
    this.write();
  }

  write(): void {
    const { sort, descending } = this.model.form;
    const chosen = `${sort} ${descending ? '-' : '+'}`;
    const options: [string, string][] = [...this.usual, ...this.more];
    if (!options.some(([value]) => value === chosen)) {
      options.push([chosen, this.label(sort.replace(/^properties\./, ''), descending)]); // of a kept search, or a link
    }
    const key = JSON.stringify(options);
    if (key !== this.drawn) {
      this.drawn = key;
      this.node.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    }
    this.node.value = chosen;
    void this.load(this.open);
  }

  /** Ask what can be sorted by, once somebody looks. */
  async load(open: boolean): Promise<void> {
    this.open = open;
    const { chosen, form } = this.model;
    const asked = JSON.stringify([chosen, form.collections]);
    if (!open || asked === this.loadedFor) {
      return;
    }
    this.loadedFor = asked;
    const fields = await this.model.fields('sortables');
    if (this.loadedFor !== asked) {
      return;
    }
    const usual = new Set(this.usual.map(([value]) => value));
    this.more = fields.flatMap(({ name, title }) => {
      const plain = name.replace(/^properties\./, '');
      return [false, true].map((descending): [string, string] => [`properties.${plain} ${descending ? '-' : '+'}`, this.label(title, descending)]);
    }).filter(([value]) => !usual.has(value));
    this.write();
  }

  private label(title: string, descending: boolean): string {
    return descending ? this.trans.__('%1, from the largest', title) : this.trans.__('%1, from the smallest', title);
  }

  private readonly usual: [string, string][];
  private more: [string, string][] = [];
  private open = false;
  private loadedFor = '';
  private drawn = '';
}
