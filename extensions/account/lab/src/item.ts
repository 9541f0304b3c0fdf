import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { Details } from './details';
import { summarise, summariseLoss, type IStatus, type ISummary, type Loss } from './model';
import { Popup } from './popup';

/** The item in the status bar: a button with a small bar, which opens the details. */
export class MemoryItem extends Widget {
  constructor(
    private readonly trans: TranslationBundle,
    private readonly openHome: () => void
  ) {
    super();
    this.addClass('cubehub-memory');
    this.button = document.createElement('button');
    this.button.type = 'button';
    this.button.className = 'cubehub-memory-button';
    this.button.setAttribute('aria-haspopup', 'dialog');
    this.button.setAttribute('aria-expanded', 'false');
    this.text = document.createElement('span');
    this.text.setAttribute('aria-hidden', 'true');
    this.bar = document.createElement('span');
    this.bar.className = 'cubehub-memory-bar';
    this.bar.setAttribute('aria-hidden', 'true');
    this.fill = document.createElement('span');
    this.bar.append(this.fill);
    this.button.append(this.text, this.bar);
    this.button.addEventListener('click', () => this.toggle());
    this.announcer = document.createElement('span');
    this.announcer.className = 'cubehub-visually-hidden';
    this.announcer.setAttribute('role', 'status');
    this.announcer.setAttribute('aria-live', 'polite');
    this.node.append(this.button, this.announcer);
    this.write({ text: 'RAM …', label: 'Memory of your whole server: not known yet', share: 0, level: 'unknown' });
    this.announcer.textContent = '';
  }

  /** Show what the server says now. */
  tell(status: IStatus): void {
    this.status = status;
    this.write(status.ended ? summariseLoss('refused') : summarise(status));
    this.details?.tell(status);
  }

  /** Show that the numbers no longer hold. */
  tellLoss(loss: Loss): void {
    this.write(summariseLoss(loss));
    this.popup?.close();
    this.status = null;
  }

  private write(summary: ISummary): void {
    this.text.textContent = summary.text;
    this.button.setAttribute('aria-label', summary.label);
    this.button.title = summary.label;
    this.fill.style.inlineSize = `${summary.share * 100}%`;
    // told when it becomes tight or is over, and not at each change of a number
    const told = summary.level === 'ok' ? '' : summary.level === 'unknown' ? summary.text : summary.level;
    if (this.told !== told) {
      this.told = told;
      this.announcer.textContent = told && summary.label;
    }
    this.node.dataset.level = summary.level;
  }

  private toggle(): void {
    if (this.popup) {
      this.popup.close();
    } else if (this.status) {
      this.popup = new Popup(this.button, this.trans.__('Your server'), () => {
        this.popup = this.details = null;
      });
      this.details = new Details(this.trans, this.status, () => {
        this.popup?.close();
        this.openHome();
      });
      this.popup.node.append(...this.details.nodes);
      this.popup.open();
    }
  }

  private readonly button: HTMLButtonElement;
  private readonly text: HTMLSpanElement;
  private readonly bar: HTMLSpanElement;
  private readonly fill: HTMLSpanElement;
  private readonly announcer: HTMLSpanElement;
  private status: IStatus | null = null;
  private told = '';
  private popup: Popup | null = null;
  private details: Details | null = null;
}
