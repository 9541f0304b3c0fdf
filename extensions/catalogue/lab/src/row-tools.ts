import type { TranslationBundle } from '@jupyterlab/translation';

import { same } from './cart.js';
import type { IPicked, IRow } from './contract.js';
import { allow, button, make } from './dom.js';
import { picked, type CatalogueModel } from './model.js';

/** What is done with the rows that are meant, and what came of it. */
export class RowTools {
  readonly node: HTMLElement;
  /** Of the rows that are meant now: said of others it goes. */
  readonly said = make('p', 'cubehub-cat-hint');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    details: (row: IRow) => void
  ) {
    this.said.setAttribute('role', 'status');
    this.node = make(
      'div', 'cubehub-cat-buttons',
      button(trans.__('Details'), () => {
        const row = model.results.row(model.active ?? '') ?? model.meant[0];
        if (row) {
          details(row);
        }
      }),
      button(trans.__('To the cart'), () => this.put('cart', model.meant.map(picked))),
      button(trans.__('Favourite'), () => this.put('favourites', model.meant.map(picked)))
    );
  }

  write(): void {
    const { model, trans } = this;
    const meant = `${model.results.search} ${model.meaning}`;
    if (meant !== this.meant) {
      this.meant = meant;
      this.clear();
    }
    this.node.hidden = model.results.rows.length === 0;
    for (const one of this.node.children) {
      allow(one as HTMLButtonElement, model.meant.length ? null : trans.__('Pick items in the list first.'));
    }
  }

  clear(): void {
    this.said.textContent = '';
  }

  put(where: 'cart' | 'favourites', items: IPicked[]): void {
    const { model, trans } = this;
    const meant = this.meant;
    let count = 0;
    void model
      .change(saved => {
        const fresh = items.filter(item => !saved[where].some(one => same(one, item)));
        count = fresh.length;
        return { ...saved, [where]: [...saved[where], ...fresh] };
      })
      .then(() => {
        if (meant !== this.meant || model.savedTrouble) {
          return; // of others than those that are meant now, or told above
        }
        this.said.textContent = count
          ? where === 'cart'
            ? trans._n('%1 item put into the cart.', '%1 items put into the cart.', count)
            : trans._n('%1 item put among the favourites.', '%1 items put among the favourites.', count)
          : trans.__('That is there already.');
      });
  }

  private meant = '';
}
