import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { ServerConnection } from '@jupyterlab/services';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import { Poll } from '@lumino/polling';
import { Signal, type ISignal } from '@lumino/signaling';

import '../style/index.css';

import { findBareDialog, tellEnd, tellReason } from './dialogs';
import { MemoryItem } from './item';
import { fresh, keyOf, reasonFor, type INotice, type IStatus } from './model';
import { fetchStatus, isRefusal } from './request';
import { Seen } from './seen';

const EVERY_MS = 3000;
/** So many refusals one after the other are no chance. */
const REFUSALS = 3;

/** What the server tells of itself, asked again and again while the page is looked at. */
export interface IAccount {
  readonly changed: ISignal<IAccount, IStatus>;
  /** The page may no longer ask: the session or the server has ended. */
  readonly refused: ISignal<IAccount, void>;
  /** Ask now. */
  ask(): Promise<IStatus>;
}

export const IAccount = new Token<IAccount>('@cubehub/account:IAccount');

class Account implements IAccount {
  constructor(private readonly settings: ServerConnection.ISettings) {
    const poll = new Poll({
      factory: () => this.ask(),
      frequency: { interval: EVERY_MS, backoff: true, max: 60_000 },
      name: '@cubehub/account:status',
      standby: 'when-hidden'
    });
    void poll.start();
  }

  get changed(): ISignal<IAccount, IStatus> {
    return this._changed;
  }

  get refused(): ISignal<IAccount, void> {
    return this._refused;
  }

  async ask(): Promise<IStatus> {
    try {
      const status = await fetchStatus(this.settings);
      this.refusals = 0;
      this._changed.emit(status);
      return status;
    } catch (error) {
      this.refusals = isRefusal(error) ? this.refusals + 1 : 0;
      if (this.refusals === REFUSALS) {
        this._refused.emit();
      }
      throw error;
    }
  }

  private refusals = 0;
  private readonly _changed = new Signal<IAccount, IStatus>(this);
  private readonly _refused = new Signal<IAccount, void>(this);
}

const account: JupyterFrontEndPlugin<IAccount> = {
  id: '@cubehub/account:status',
  description: 'Asks the server for its use, limits and notices.',
  autoStart: true,
  provides: IAccount,
  activate: (app: JupyterFrontEnd) => new Account(app.serviceManager.serverSettings)
};

const item: JupyterFrontEndPlugin<void> = {
  id: '@cubehub/account:memory',
  description: 'Shows the memory of the whole server against its limit.',
  autoStart: true,
  requires: [IAccount],
  optional: [IStatusBar, ITranslator],
  activate: (app: JupyterFrontEnd, known: IAccount, statusBar: IStatusBar | null, translator: ITranslator | null) => {
    const widget = new MemoryItem((translator ?? nullTranslator).load('cubehub_account'));
    widget.id = 'cubehub-account-memory';
    known.changed.connect((_, status) => widget.update_(status));
    if (statusBar) {
      statusBar.registerStatusItem(widget.id, { item: widget, align: 'left', rank: 20 });
    } else {
      app.shell.add(widget, 'top', { rank: 10_000 }); // Notebook 7 has no status bar
    }
  }
};

const notices: JupyterFrontEndPlugin<void> = {
  id: '@cubehub/account:notices',
  description: 'Says once what is new, and plainly when access was ended.',
  autoStart: true,
  requires: [IAccount],
  optional: [ITranslator],
  activate: (_app: JupyterFrontEnd, known: IAccount, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('cubehub_account');
    const seen = new Seen();
    let over = false;
    let hubUrl = '/hub/home';
    const end = (notice: INotice): void => {
      if (!over) {
        over = true;
        void tellEnd(notice, hubUrl, trans);
      }
    };
    known.changed.connect((_, status) => {
      hubUrl = status.hub_url;
      for (const notice of fresh(status.notices, seen.keys)) {
        seen.add(keyOf(notice));
        Notification.emit(`${notice.message} ${notice.hint}`, notice.level === 'warning' ? 'warning' : 'info', {
          autoClose: false
        });
      }
      if (status.ended) {
        end(status.ended);
      }
    });
    known.refused.connect(() =>
      end({
        id: 'refused',
        time: '',
        level: 'error',
        code: 'refused',
        message: trans.__('Your server no longer accepts this page: your log-in or your account has ended.'),
        hint: trans.__('Your files are kept. What is not saved can be copied from this page. Log in again on the start page.')
      })
    );
  }
};

const reasons: JupyterFrontEndPlugin<void> = {
  id: '@cubehub/account:reasons',
  description: 'Says why a kernel was stopped, in place of a guess that it died.',
  autoStart: true,
  requires: [IAccount, INotebookTracker],
  optional: [ITranslator],
  activate: (_app: JupyterFrontEnd, known: IAccount, tracker: INotebookTracker, translator: ITranslator | null) => {
    const given = translator ?? nullTranslator;
    const [trans, lab] = [given.load('cubehub_account'), given.load('jupyterlab')];
    const seen = new Seen();
    const look = async (panel: NotebookPanel): Promise<void> => {
      const session = panel.sessionContext.session;
      const kernel = session?.kernel?.id;
      if (!session || !kernel) {
        return;
      }
      // the server notes the reason before it announces the restart
      const status = await known.ask();
      const reason = reasonFor(status.notices, kernel, seen.keys);
      if (reason) {
        seen.add(keyOf(reason));
        findBareDialog(session.path, lab)?.reject();
        await tellReason(reason, trans);
      }
    };
    tracker.widgetAdded.connect((_, panel) => {
      panel.sessionContext.statusChanged.connect((_context, status) => {
        if (status === 'autorestarting') {
          look(panel).catch(() => undefined); // then Lab's own words stay
        }
      });
    });
  }
};

export default [account, item, notices, reasons];
