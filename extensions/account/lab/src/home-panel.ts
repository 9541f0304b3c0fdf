import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { button, make } from './dom';
import { HomeLists, section } from './home-lists';
import { HomeMap } from './home-map';
import { formatBytes } from './model';
import { describePath, KEEP_DAYS, mapOf, useOf, type IAway, type IService, type IStorage, type ITrouble } from './storage';
import { troubleOf, type StorageRequests } from './storage-request';

const OLD_MS = 60_000;
/** A home that is being counted for the first time is looked at again so soon. */
const SOON_MS = 3000;

/** What fills the home, what will be moved out of it, and what was. */
export class HomePanel extends Widget {
  constructor(
    private readonly requests: StorageRequests,
    private readonly trans: TranslationBundle
  ) {
    super();
    this.addClass('cubehub-home');
    this.title.caption = trans.__('What fills my home');
    this.title.iconClass = 'cubehub-home-icon';
    this.node.setAttribute('aria-label', trans.__('What fills my home'));
    this.node.setAttribute('role', 'region');
    this.again.textContent = trans.__('Look again');
    this.state.setAttribute('role', 'status');
    this.trouble.setAttribute('role', 'alert');
    this.bar.setAttribute('aria-hidden', 'true');
    this.bar.append(this.fill);
    const use = section(trans.__('In use'));
    use.lastElementChild?.replaceWith(make('div', '', this.bar, this.use));
    this.folders = section(trans.__('Folders'));
    this.map = new HomeMap(trans, (path, at) => this.keep(path, at));
    this.folders.lastElementChild?.replaceWith(make('div', '', this.map.node, this.about));
    this.lists = new HomeLists(trans, {
      keep: (path, at) => this.keep(path, at),
      letGo: (path, at) => this.letGo(path, at),
      restore: (away, only, at) => this.restore(away, only, at),
      inside: away => this.requests.inside(away.number)
    });
    const head = make('div', 'cubehub-home-head', make('h2', '', trans.__('What fills my home')), this.again);
    this.node.append(
      head, this.state, this.trouble, use, this.lists.noticed, this.folders,
      this.lists.away, this.lists.kept, this.lists.caches
    );
    this.lists.tell(null, this.restoring);
    this.folders.hidden = true;
    this.use.textContent = trans.__('Being counted …');
  }

  /** What the profile gives, as the status bar knows it. */
  tellLimit(bytes: number | null): void {
    if (bytes !== this.limit) {
      this.limit = bytes;
      this.writeUse();
    }
  }

  /** Ask anew and show it. */
  async look(): Promise<void> {
    if (this.looking) {
      return;
    }
    this.looking = true;
    this.again.setAttribute('aria-disabled', 'true');
    this.state.textContent = this.told ? this.state.textContent : this.trans.__('Looking …');
    try {
      this.write(await this.requests.tell());
      this.looked = Date.now();
      if (this.state.textContent === this.trans.__('Looking …')) {
        this.state.textContent = '';
      }
    } catch (error) {
      this.state.textContent = '';
      this.writeTrouble(troubleOf(error));
    } finally {
      this.looking = false;
      this.again.removeAttribute('aria-disabled');
    }
    if (this.told && !this.told.local && this.isVisible && !this.isDisposed) {
      window.setTimeout(() => void (this.isDisposed || this.look()), SOON_MS);
    }
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    const asking = this.node.querySelector('form') !== null; // which would be gone with what was typed
    if (!asking && Date.now() - this.looked > OLD_MS) {
      void this.look();
    }
  }

  protected onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.again.focus();
  }

  private write(told: IStorage): void {
    this.told = told;
    this.writeUse();
    this.writeTrouble(told.trouble);
    const map = mapOf(told);
    this.folders.hidden = !map;
    if (map) {
      this.about.textContent = map.about;
      this.map.tell(map.places, map.large, told.service !== null);
    }
    this.lists.tell(told.service, this.restoring);
  }

  private writeUse(): void {
    const use = this.told ? useOf(this.told, this.limit) : null;
    this.use.textContent = use?.text ?? this.trans.__('Being counted …');
    this.bar.dataset.level = use?.level ?? 'unknown';
    this.fill.style.inlineSize = `${(use?.share ?? 0) * 100}%`;
  }

  private writeTrouble(trouble: ITrouble | null): void {
    this.trouble.hidden = !trouble;
    this.trouble.replaceChildren(...(trouble ? describe(trouble) : []));
    this.trouble.dataset.level = trouble?.code === 'storage_absent' ? 'info' : 'error';
  }

  private keep(path: string, at: HTMLElement): void {
    const { trans } = this;
    void this.act(at, trans.__('Keeping %1 …', describePath(path)), async () => {
      this.writeService(await this.requests.keep(path, KEEP_DAYS));
      return trans.__('%1 is kept for %2 days.', describePath(path), String(KEEP_DAYS));
    });
  }

  private letGo(path: string, at: HTMLElement): void {
    const { trans } = this;
    void this.act(at, trans.__('Letting %1 go …', describePath(path)), async () => {
      this.writeService(await this.requests.letGo(path));
      return trans.__('%1 is no longer kept.', describePath(path));
    });
  }

  private restore(away: IAway, only: string | null, at: HTMLElement): void {
    const { trans } = this;
    const what = only ?? describePath(away.path);
    void this.act(at, trans.__('Restoring %1 … From an archive this can take minutes.', what), async () => {
      this.restoring.add(away.number);
      const { restored, bytes } = await this.requests
        .restore(away.number, only)
        .finally(() => this.restoring.delete(away.number));
      this.write(await this.requests.tell());
      return trans.__('Restored: %1 (%2).', describePath(restored), formatBytes(bytes));
    });
  }

  private writeService(service: IService): void {
    this.write({ local: this.told?.local ?? null, service, trouble: null });
  }

  /** Do something that takes a while: say that it goes on, and how it went, beside what was clicked where it failed. */
  private async act(at: HTMLElement, doing: string, act: () => Promise<string>): Promise<void> {
    const host = at.closest<HTMLElement>('li') ?? at.parentElement ?? this.node;
    if (host.getAttribute('aria-busy') === 'true') {
      return;
    }
    const place = at.closest('section');
    const buttons = [...host.querySelectorAll("button:not([aria-disabled='true'])")];
    host.querySelector('.cubehub-home-trouble')?.remove();
    host.setAttribute('aria-busy', 'true');
    buttons.forEach(one => one.setAttribute('aria-disabled', 'true'));
    this.state.textContent = doing;
    try {
      this.state.textContent = await act();
      if (!this.node.contains(document.activeElement)) {
        place?.querySelector<HTMLElement>('h3')?.focus(); // what was clicked is no longer there
      }
    } catch (error) {
      this.state.textContent = '';
      if (!host.isConnected) {
        this.lists.tell(this.told?.service ?? null, this.restoring); // they were written anew meanwhile
        this.writeTrouble(troubleOf(error));
        return;
      }
      const field = at.querySelector('.cubehub-home-wrong');
      if (field) {
        const { message, hint } = troubleOf(error);
        field.textContent = `${message} ${hint}`; // beside what was typed
        return;
      }
      const box = make('div', 'cubehub-home-trouble', ...describe(troubleOf(error)));
      box.setAttribute('role', 'alert');
      host.append(box);
    } finally {
      host.removeAttribute('aria-busy');
      buttons.forEach(one => one.removeAttribute('aria-disabled'));
    }
  }

  private told: IStorage | null = null;
  private limit: number | null = null;
  private looked = 0;
  private looking = false;
  /** Numbers of what is being restored, which takes minutes. */
  private readonly restoring = new Set<number>();
  private readonly again = button('', () => void this.look());
  private readonly state = make('p', 'cubehub-home-state');
  private readonly trouble = make('div', 'cubehub-home-trouble');
  private readonly bar = make('div', 'cubehub-home-bar');
  private readonly fill = make('span');
  private readonly use = make('p', 'cubehub-home-use');
  private readonly about = make('p', 'cubehub-home-about');
  private readonly folders: HTMLElement;
  private readonly map: HomeMap;
  private readonly lists: HomeLists;
}

function describe({ code, message, hint }: ITrouble): HTMLElement[] {
  return [make('p', '', message), make('p', '', hint), make('p', 'cubehub-home-code', code)];
}
