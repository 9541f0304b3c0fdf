import type { ServerConnection } from '@jupyterlab/services';
import { Token } from '@lumino/coreutils';
import { Poll } from '@lumino/polling';
import { Signal, type ISignal } from '@lumino/signaling';

import type { IStatus, Loss } from './model';
import { fetchStatus, lossFrom, noteSeen } from './request';

const EVERY_MS = 3000;
const AT_MOST_MS = 30_000;
/** So many failures one after the other are no chance. */
const FAILURES = 3;

/** What the server tells of itself, asked again and again while the page is looked at. */
export interface IAccount {
  readonly changed: ISignal<IAccount, IStatus>;
  /** The server did not answer, several times, and why. */
  readonly lost: ISignal<IAccount, Loss>;
  /** Ask now. */
  ask(): Promise<IStatus>;
  /** Tell the server that a notice was shown; it is not shown again, not even by another page. */
  noteSeen(key: string): void;
  /** Keys of the notices that this page has shown. */
  readonly shown: ReadonlySet<string>;
}

export const IAccount = new Token<IAccount>('@cubehub/account:IAccount');

export class Account implements IAccount {
  constructor(private readonly settings: ServerConnection.ISettings) {
    const poll = new Poll({
      factory: () => this.ask(),
      frequency: { interval: EVERY_MS, backoff: true, max: AT_MOST_MS },
      name: '@cubehub/account:status',
      standby: 'when-hidden'
    });
    void poll.start();
  }

  get changed(): ISignal<IAccount, IStatus> {
    return this._changed;
  }

  get lost(): ISignal<IAccount, Loss> {
    return this._lost;
  }

  get shown(): ReadonlySet<string> {
    return this._shown;
  }

  async ask(): Promise<IStatus> {
    try {
      const status = await fetchStatus(this.settings);
      this.failures = 0;
      this.hubHome = status.hub_url;
      this._changed.emit(status);
      return status;
    } catch (error) {
      this.failures += 1;
      if (this.failures >= FAILURES) {
        this._lost.emit(await lossFrom(error, this.hubHome));
      }
      throw error;
    }
  }

  noteSeen(key: string): void {
    this._shown.add(key);
    noteSeen(this.settings, [key]).catch(() => undefined); // then another page may show it once more
  }

  private failures = 0;
  private hubHome = '/hub/home';
  private readonly _shown = new Set<string>();
  private readonly _changed = new Signal<IAccount, IStatus>(this);
  private readonly _lost = new Signal<IAccount, Loss>(this);
}
