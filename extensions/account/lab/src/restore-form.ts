import type { TranslationBundle } from '@jupyterlab/translation';

import { button, make } from './dom';
import { formatBytes } from './model';
import { describeChoice, innerPath, matching, whyNot, type IEntry } from './storage';

let forms = 0;

/** Asks which file of something that was moved away is to come back: typed, or chosen from what is in it. */
export class RestoreForm {
  readonly node = make('form', 'cubehub-home-form');

  constructor(
    private readonly trans: TranslationBundle,
    restore: (path: string) => void,
    close: () => void
  ) {
    forms += 1;
    const label = make('label', '', trans.__('File or folder to bring back'));
    const choose = make('label', '', trans.__('Choose from what is in it'));
    this.typed.id = label.htmlFor = `cubehub-restore-typed-${forms}`;
    this.list.id = choose.htmlFor = `cubehub-restore-list-${forms}`;
    this.typed.type = 'text';
    this.typed.autocomplete = 'off';
    this.typed.spellcheck = false;
    this.list.size = 6;
    this.wrong.id = `cubehub-restore-wrong-${forms}`;
    this.wrong.setAttribute('role', 'alert');
    this.typed.setAttribute('aria-describedby', this.wrong.id);
    this.about.setAttribute('role', 'status');
    this.about.textContent = trans.__('Looking at what is in it …');
    const go = make('button', 'cubehub-home-button', trans.__('Restore this'));
    go.type = 'submit';
    this.node.append(
      label, this.typed, this.wrong, choose, this.list, this.about,
      make('div', 'cubehub-home-buttons', go, button(trans.__('Cancel'), close))
    );
    this.typed.addEventListener('input', () => {
      this.refuse('');
      this.fill();
    });
    this.list.addEventListener('change', () => {
      if (this.list.value) {
        this.typed.value = this.list.value;
        this.refuse('');
      }
    });
    this.node.addEventListener('keydown', event => {
      event.stopPropagation(); // a shortcut of the page would act on the notebook beside
      if (event.key === 'Escape') {
        close();
      }
    });
    this.node.addEventListener('submit', event => {
      event.preventDefault();
      const why = whyNot(this.typed.value, this.entries);
      this.refuse(why);
      if (why) {
        this.fill(''); // all that there is to choose from
        this.typed.focus();
      } else {
        restore(innerPath(this.typed.value));
      }
    });
  }

  /** Show what can be chosen. */
  tell(entries: IEntry[]): void {
    this.entries = entries;
    this.fill();
  }

  /** Nothing can be chosen; a path can still be typed. */
  tellUnknown(message: string): void {
    this.about.textContent = `${message} ${this.trans.__('You can type a path.')}`;
  }

  /** Say what is wrong beside the field; nothing where nothing is. */
  private refuse(why: string): void {
    this.wrong.textContent = why;
    this.typed.setAttribute('aria-invalid', String(why !== ''));
  }

  private fill(like = this.typed.value): void {
    const found = matching(this.entries, like);
    this.list.replaceChildren(
      ...found.map(entry => {
        const option = make('option', '', `${entry.path}${entry.folder ? '/' : ''} (${formatBytes(entry.bytes)})`);
        option.value = entry.path;
        return option;
      })
    );
    this.about.textContent = describeChoice(found.length, this.entries.length);
  }

  private entries: IEntry[] = [];
  readonly typed = make('input');
  private readonly list = make('select');
  private readonly about = make('p', 'cubehub-home-about');
  /** What went wrong; the panel says there as well what the service refused. */
  private readonly wrong = make('p', 'cubehub-home-wrong');
}
