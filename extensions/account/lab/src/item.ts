import { showPopup, type Popup } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { describeHome, formatBytes, summarise, type IStatus } from './model';

/** The item in the status bar: a button with a small bar, which opens the details. */
export class MemoryItem extends Widget {
  constructor(private readonly trans: TranslationBundle) {
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
    // told when it becomes tight, and not at each change of a number
    this.announcer = document.createElement('span');
    this.announcer.className = 'cubehub-visually-hidden';
    this.announcer.setAttribute('role', 'status');
    this.announcer.setAttribute('aria-live', 'polite');
    this.node.append(this.button, this.announcer);
    this.hide();
  }

  /** Show what the server says now. */
  update_(status: IStatus): void {
    this.status = status;
    const summary = summarise(status);
    this.text.textContent = summary.text;
    this.button.setAttribute('aria-label', summary.label);
    this.button.title = summary.label;
    this.fill.style.inlineSize = `${summary.share * 100}%`;
    if (this.node.dataset.level !== summary.level) {
      this.node.dataset.level = summary.level;
      this.announcer.textContent = summary.level === 'ok' ? '' : summary.label;
    }
    this.details?.replaceChildren(...this.describe(status));
    this.show();
  }

  private toggle(): void {
    if (this.popup) {
      this.popup.dispose();
      return;
    }
    if (!this.status) {
      return;
    }
    const body = new Widget();
    body.addClass('cubehub-memory-details');
    body.node.setAttribute('role', 'dialog');
    body.node.setAttribute('aria-label', this.trans.__('Your server'));
    body.node.tabIndex = -1;
    this.details = body.node;
    body.node.replaceChildren(...this.describe(this.status));
    body.node.addEventListener('keydown', event => {
      if (event.key === 'Escape') {
        event.stopPropagation();
        this.popup?.dispose();
      }
    });
    this.popup = showPopup({ body, anchor: this, align: 'right' });
    this.button.setAttribute('aria-expanded', 'true');
    body.disposed.connect(() => {
      this.popup = null;
      this.details = null;
      this.button.setAttribute('aria-expanded', 'false');
      this.button.focus();
    });
    body.node.focus();
  }

  private describe(status: IStatus): Node[] {
    const trans = this.trans;
    const list = document.createElement('dl');
    const row = (term: string, value: string): void => {
      const dt = document.createElement('dt');
      const dd = document.createElement('dd');
      dt.textContent = term;
      dd.textContent = value;
      list.append(dt, dd);
    };
    const known = (bytes: number | null): string => (bytes === null ? trans.__('unknown') : formatBytes(bytes));
    row(trans.__('Profile'), status.title || trans.__('unknown'));
    row(trans.__('Memory in use'), known(status.used_bytes));
    row(trans.__('Memory limit'), known(status.memory_bytes));
    row(trans.__('Home folder'), describeHome(status));
    const about = document.createElement('p');
    about.textContent = trans.__(
      'All notebooks, kernels and terminals share the memory. When it is used up, the kernel that uses most is stopped. ' +
        'To free some, shut down kernels that you do not need; to have more, ask your administrator for another profile: it reaches your running server.'
    );
    const link = document.createElement('a');
    link.href = status.hub_url;
    link.target = '_blank';
    link.rel = 'noopener';
    link.textContent = trans.__('Your servers (control panel)');
    return [list, about, link];
  }

  private readonly button: HTMLButtonElement;
  private readonly text: HTMLSpanElement;
  private readonly bar: HTMLSpanElement;
  private readonly fill: HTMLSpanElement;
  private readonly announcer: HTMLSpanElement;
  private status: IStatus | null = null;
  private popup: Popup | null = null;
  private details: HTMLElement | null = null;
}
