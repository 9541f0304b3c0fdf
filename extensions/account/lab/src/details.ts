import type { TranslationBundle } from '@jupyterlab/translation';

import { describeComing, describeHome, describeUntil, formatBytes, type IStatus } from './model';

/** What the item's box shows. Only the values are written anew, so that a link in it keeps the focus. */
export class Details {
  readonly nodes: Node[];

  constructor(
    private readonly trans: TranslationBundle,
    status: IStatus,
    openHome: () => void
  ) {
    const list = document.createElement('dl');
    const terms = [
      trans.__('Profile'),
      trans.__('Profile until'),
      trans.__('Memory in use'),
      trans.__('Memory limit'),
      trans.__('Coming'),
      trans.__('Home folder')
    ];
    for (const term of terms) {
      const dt = document.createElement('dt');
      const dd = document.createElement('dd');
      const value = document.createElement('span');
      dt.textContent = term;
      dd.append(value);
      list.append(dt, dd);
      this.rows.push([dt, dd, value]);
    }
    const fills = document.createElement('button');
    fills.type = 'button';
    fills.className = 'cubehub-home-link';
    fills.textContent = trans.__('What fills it');
    fills.setAttribute('aria-label', trans.__('What fills my home'));
    fills.addEventListener('click', openHome);
    this.rows[terms.length - 1][1].append(' ', fills);
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
    this.nodes = [list, about, link];
    this.tell(status);
  }

  tell(status: IStatus): void {
    const unknown = this.trans.__('unknown');
    const size = (bytes: number | null): string => (bytes === null ? unknown : formatBytes(bytes));
    const texts = [
      status.title || unknown,
      describeUntil(status),
      size(status.used_bytes),
      size(status.memory_bytes),
      describeComing(status),
      describeHome(status)
    ];
    texts.forEach((text, place) => {
      const [dt, dd, value] = this.rows[place];
      value.textContent = text ?? '';
      dt.hidden = dd.hidden = text === null;
    });
  }

  private readonly rows: [HTMLElement, HTMLElement, HTMLElement][] = [];
}
