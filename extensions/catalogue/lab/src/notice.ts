import type { TranslationBundle } from '@jupyterlab/translation';

import { button, make, told } from './dom.js';
import type { CatalogueModel } from './model.js';

/** What is wrong with the file of searches, favourites and the cart, or with the link that was followed: above every page. */
export class Notice {
  readonly node = make('div', 'cubehub-cat-notice');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle
  ) {
    this.node.setAttribute('role', 'alert');
  }

  write(): void {
    const { model, trans } = this;
    const { savedTrouble, savedProblem, linkTrouble } = model;
    const key = JSON.stringify([savedTrouble, savedProblem, linkTrouble]);
    if (key === this.said) {
      return; // a reader says each change: none for the same
    }
    this.said = key;
    this.node.replaceChildren();
    if (savedTrouble) {
      const again = button(trans.__('Try again'), () => void model.loadSaved(), 'cubehub-mod-small');
      this.node.append(make('p', 'cubehub-cat-trouble', ...told(savedTrouble), ' ', again));
    }
    if (savedProblem) {
      const seen = button(trans.__('Understood'), () => model.forgetProblem(), 'cubehub-mod-small');
      this.node.append(make('p', 'cubehub-cat-trouble', ...told(savedProblem), ' ', seen));
    }
    if (linkTrouble) {
      const seen = button(trans.__('Understood'), () => model.tellLink(null), 'cubehub-mod-small');
      this.node.append(make('p', 'cubehub-cat-trouble', ...told(linkTrouble), ' ', seen));
    }
  }

  private said = '[null,null,null]';
}
