import type { TranslationBundle } from '@jupyterlab/translation';

import type { ITrouble } from './contract.js';
import { button, make, named, outward, told } from './dom.js';
import type { CatalogueModel } from './model.js';

/** How the search fares: the count, and each catalogue's progress or failure. */
export class Answers {
  readonly node = make('div', 'cubehub-cat-answers');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle
  ) {
    this.count.setAttribute('role', 'status');
    this.list.setAttribute('aria-label', trans.__('Catalogues asked'));
    this.failures.setAttribute('role', 'alert');
    this.onward = button(trans.__('Go on'), () => void model.goOn(), 'cubehub-mod-small');
    this.node.append(this.count, this.onward, this.list, this.failures);
  }

  write(): void {
    const { model, trans } = this;
    const { results } = model;
    const found = results.rows.length;
    let text = '';
    if (results.running && !found) {
      text = trans.__('Searching …');
    } else if (model.asked) {
      const { matched } = results;
      // without more, fewer rows than matches are copies of one scene
      if (matched !== null && matched > found && results.more) {
        const several = [...results.answers.values()].filter(one => one.matched).length > 1;
        // what two have is counted twice by them and once by us
        text = several ? trans.__('%1 items of up to %2', found, matched) : trans.__('%1 of %2 items', found, matched);
      } else if (results.more) {
        text = trans._n('%1 item, and there are more', '%1 items, and there are more', found);
      } else {
        const failed = model.trouble !== null || [...results.answers.values()].some(one => one.state === 'failed' || one.state === 'stopped');
        text = found || !failed ? trans._n('%1 item', '%1 items', found) : '';
      }
      if (results.full) {
        text += ` ${trans.__('As many as can be shown: search for less to see the others.')}`;
      }
      const lost = (model.lookedFor ?? []).filter(one => model.isGone(one));
      if (lost.length && !results.running) {
        text += ` ${trans.__('No longer in their catalogues: %1.', lost.map(one => one.title || one.id).join(', '))}`;
      }
      if (results.running) {
        text += ` ${trans.__('(still searching)')}`;
      }
    }
    if (this.count.textContent !== text) {
      this.count.textContent = text; // a reader says each change: none for the same
    }
    this.onward.hidden = !model.halted || !results.more || results.running || model.trouble !== null;
    // what failed is told below, and once
    const shown = [...results.answers].filter(([, answer]) => !answer.error);
    this.list.hidden = shown.length === 0;
    this.list.replaceChildren(
      ...shown.map(([id, answer]) => {
        const said =
          answer.state === 'asking'
            ? trans.__('asking …')
            : answer.state === 'failed'
              ? trans.__('failed')
              : answer.state === 'stopped'
                ? trans.__('stopped')
              : [
                  answer.matched !== null && answer.matched > answer.count
                    ? trans.__('%1 of %2 items', answer.count, answer.matched)
                    : trans._n('%1 item', '%1 items', answer.count),
                  answer.more ? trans.__('more there') : '',
                  this.ignored(answer.ignored)
                ]
                  .filter(Boolean)
                  .join(', ');
        const node = make('li', `cubehub-mod-${answer.state}`, named(model.titleOf(id)), ' ', make('span', 'cubehub-cat-facts', said));
        if (answer.tookMs !== null) {
          node.title = trans.__('Answered in %1 s.', (answer.tookMs / 1000).toFixed(1));
        }
        for (const warning of answer.warnings) {
          node.append(make('span', 'cubehub-cat-facts', named(warning)));
        }
        if (answer.state === 'asking') {
          const bar = make('progress', 'cubehub-cat-bar');
          bar.setAttribute('aria-label', model.titleOf(id));
          node.append(bar);
        }
        return node;
      })
    );
    this.writeFailures();
  }

  /** What of the query a catalogue could not do. */
  private ignored(parts: readonly string[]): string {
    const { trans } = this;
    const names: Record<string, string> = { filter: trans.__('Filters'), text: trans.__('Words'), sort: trans.__('Order') };
    const undone = parts.filter(part => part !== 'items').map(part => names[part] ?? part);
    return [
      undone.length ? trans.__('without %1', undone.join(', ')) : '',
      parts.includes('items') ? trans.__('some items could not be read') : ''
    ].filter(Boolean).join(', ');
  }

  private writeFailures(): void {
    const { model, trans } = this;
    const all: [string | null, ITrouble][] = [...model.results.failures];
    if (model.trouble) {
      all.push([null, model.trouble]);
    }
    const key = JSON.stringify([all, model.results.answers.size]);
    if (key === this.said) {
      return;
    }
    this.said = key;
    if (!all.length) {
      this.open = false;
    }
    const reasons = all.map(([id, trouble]) => {
        const { code, message } = trouble;
        const title = id === null ? '' : model.titleOf(id);
        const name = !title || message.startsWith(title) ? '' : `${title}: `;
        const where = code === 'sign_in' ? model.known.catalogues.find(one => one.id === id)?.sign_in : null;
        const door = where ? [outward(where, trans.__('Sign in')), ' '] : [];
        const again = button(
          trans.__('Try again'),
          () => void (id !== null && model.results.search ? model.retry(id) : model.known.catalogues.length ? model.again() : model.load()),
          'cubehub-mod-small'
        );
        return make('p', 'cubehub-cat-trouble', ...told(trouble, name), ' ', ...door, again);
      });
    if (reasons.length < 2) {
      this.failures.replaceChildren(...reasons);
      return;
    }
    // the list must not be a screen further down: one line, with the reasons in it
    const summary = make('summary', '', trans.__('%1 of %2 catalogues failed', model.results.failures.length, model.results.answers.size));
    const folded = make('details', 'cubehub-cat-fold cubehub-cat-failures', summary, ...reasons);
    folded.open = this.open;
    folded.addEventListener('toggle', () => {
      this.open = folded.open;
    });
    this.failures.replaceChildren(folded);
  }

  private readonly count = make('p', 'cubehub-cat-count');
  private readonly list = make('ul', 'cubehub-cat-choices');
  private readonly failures = make('div');
  /** Where the person stopped and there is more. */
  private readonly onward: HTMLButtonElement;
  private said = '';
  /** Whether the person looks at the reasons. */
  private open = false;
}
