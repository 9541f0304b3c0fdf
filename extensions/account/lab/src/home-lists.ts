import type { TranslationBundle } from '@jupyterlab/translation';

import { button, make, named } from './dom';
import { formatBytes } from './model';
import { RestoreForm } from './restore-form';
import {
  describeAway,
  describeKept,
  describeNoticed,
  describePath,
  type IAway,
  type IEntry,
  type IService
} from './storage';

/** What a person can do about a thing in the lists; the panel does it and says how it went. */
export interface IActions {
  keep(path: string, at: HTMLElement): void;
  letGo(path: string, at: HTMLElement): void;
  restore(away: IAway, only: string | null, at: HTMLElement): void;
  /** Throws with the message for the person. */
  inside(away: IAway): Promise<IEntry[]>;
}

/** The lists of what will be, and what was, and what will not be moved away. */
export class HomeLists {
  readonly noticed: HTMLElement;
  readonly away: HTMLElement;
  readonly kept: HTMLElement;
  readonly caches: HTMLElement;

  constructor(
    private readonly trans: TranslationBundle,
    private readonly actions: IActions
  ) {
    this.noticed = section(trans.__('Going to be cleaned up'));
    this.away = section(trans.__('Moved away'));
    this.kept = section(trans.__('Kept'));
    this.caches = section(trans.__('Caches'));
  }

  tell(service: IService | null, restoring: ReadonlySet<number>): void {
    for (const part of [this.noticed, this.away, this.kept, this.caches]) {
      part.hidden = service === null;
    }
    if (!service) {
      return;
    }
    const { trans } = this;
    this.fill(this.noticed, trans.__('Nothing.'), service.noticed.map(one =>
      item(describePath(one.path), describeNoticed(one), [
        act(trans.__('Keep 90 days'), one.path, at => this.actions.keep(one.path, at))
      ])
    ), service.left_out.noticed);
    this.fill(this.away, trans.__('Nothing.'), service.away.map(one => this.awayItem(one, restoring.has(one.number))), service.left_out.away);
    this.fill(this.kept, trans.__('Nothing. What you keep is not cleaned up.'), service.kept.map(one => {
      const { text, own } = describeKept(one);
      const buttons = own ? [act(trans.__('No longer keep'), one.path, at => this.actions.letGo(one.path, at))] : [];
      return item(describePath(one.path), text, buttons);
    }), service.left_out.kept);
    const caches = service.scan?.caches ?? [];
    this.caches.hidden = caches.length === 0;
    this.fill(this.caches, '', caches.map(one => item(one.kind, `${formatBytes(one.bytes)}. ${one.about}`, [])));
  }

  private awayItem(one: IAway, restoring: boolean): HTMLElement {
    const { trans } = this;
    const { text, restorable } = describeAway(one);
    if (!restorable || restoring) {
      return item(describePath(one.path), restoring ? `${text} ${trans.__('It is being restored.')}` : text, []);
    }
    const whole = act(trans.__('Restore'), one.path, at => this.actions.restore(one, null, at));
    const part = act(trans.__('Restore a file…'), one.path, () => this.openForm(one, part));
    part.setAttribute('aria-expanded', 'false');
    return item(describePath(one.path), text, [whole, part]);
  }

  private openForm(one: IAway, at: HTMLButtonElement): void {
    const host = at.closest('li');
    const open = host?.querySelector('form');
    if (!host || open) {
      open?.remove();
      at.setAttribute('aria-expanded', 'false');
      return;
    }
    const close = (): void => {
      form.node.remove();
      at.setAttribute('aria-expanded', 'false');
      at.focus();
    };
    const form = new RestoreForm(this.trans, path => this.actions.restore(one, path, form.node), close);
    host.append(form.node);
    at.setAttribute('aria-expanded', 'true');
    form.typed.focus();
    this.actions.inside(one).then(
      entries => form.tell(entries),
      error => form.tellUnknown(error instanceof Error ? error.message : '')
    );
  }

  private fill(part: HTMLElement, nothing: string, items: HTMLElement[], leftOut = 0): void {
    if (leftOut) {
      items.push(make('li', 'cubehub-home-item', this.trans.__('And %1 more.', String(leftOut))));
    }
    part.lastElementChild?.replaceWith(
      items.length ? make('ul', 'cubehub-home-list', ...items) : make('p', 'cubehub-home-nothing', nothing)
    );
  }
}

/** A part of the panel, whose last element is what it shows. */
export function section(title: string): HTMLElement {
  const heading = make('h3', '', title);
  heading.tabIndex = -1;
  return make('section', 'cubehub-home-section', heading, make('div'));
}

function item(name: string, text: string, buttons: HTMLElement[]): HTMLElement {
  const node = make('li', 'cubehub-home-item', make('strong', '', named(name)), make('p', '', text));
  if (buttons.length) {
    node.append(make('div', 'cubehub-home-buttons', ...buttons));
  }
  return node;
}

/** A button whose name also says of what, for those who do not see the list. */
function act(label: string, path: string, click: (at: HTMLElement) => void): HTMLButtonElement {
  const node = button(label, () => click(node));
  node.setAttribute('aria-label', `${label}: ${describePath(path)}`);
  return node;
}
