import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import '../style/index.css';
import '../style/home.css';

import { Account, IAccount } from './account';
import { findBareDialog, tellEnd, tellMore, tellReason, tellRenewed } from './dialogs';
import { home } from './home-plugin';
import { MemoryItem } from './item';
import { ABOUT_HOME, ABOUT_LIMIT, forToast, fresh, keyOf, OPEN_HOME, reasonFor, standing, UNTIL, type INotice } from './model';

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
    const widget = new MemoryItem((translator ?? nullTranslator).load('cubehub_account'), () => void app.commands.execute(OPEN_HOME));
    widget.id = 'cubehub-account-memory';
    known.changed.connect((_, status) => widget.tell(status));
    known.lost.connect((_, loss) => widget.tellLoss(loss));
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
  optional: [INotebookTracker, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    known: IAccount,
    tracker: INotebookTracker | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('cubehub_account');
    let over = false;
    let renewed = false;
    let hubUrl = '/hub/home';
    const end = (notice: INotice): void => {
      if (!over) {
        over = true;
        void tellEnd(notice, hubUrl, trans);
      }
    };
    const stands = new Set<string>();
    let [lastLimit, lastUntil] = ['', ''];
    const say = (code: string, message: string, hint: string, level: INotice['level']): void => {
      const { text, more } = forToast(message, hint);
      const actions = more
        ? [{ label: trans.__('More'), callback: () => void tellMore({ message, hint }, trans) }]
        : [];
      if (ABOUT_HOME.has(code)) {
        actions.unshift({ label: trans.__('What fills it'), callback: () => void app.commands.execute(OPEN_HOME) });
      }
      const id = Notification.emit(text, level === 'warning' ? 'warning' : 'info', { autoClose: false, actions });
      if (code !== UNTIL && !ABOUT_LIMIT.has(code)) {
        return;
      }
      // two limits one above the other would contradict each other; a new limit also has its own end
      for (const before of code === UNTIL ? [lastUntil] : [lastLimit, lastUntil]) {
        if (before) {
          Notification.dismiss(before);
        }
      }
      if (code === UNTIL) {
        lastUntil = id;
      } else {
        [lastLimit, lastUntil] = [id, ''];
      }
    };
    known.changed.connect((_, status) => {
      hubUrl = status.hub_url;
      over = over && status.ended !== null;
      renewed = false;
      const news = fresh(status.notices, known.shown, kernelsOf(tracker));
      for (const notice of news) {
        known.noteSeen(keyOf(notice));
        say(notice.code, notice.message, notice.hint, notice.level);
      }
      for (const one of standing(status, Date.now())) {
        if (!stands.has(one.key)) {
          stands.add(one.key);
          const said = news.some(notice => one.saidBy.includes(notice.code));
          if (!said && (one.urgent || !wasSaidHere(one.key))) {
            say(one.code, one.message, one.hint, one.level);
          }
        }
      }
      if (status.ended) {
        end(status.ended);
      }
    });
    known.lost.connect((_, loss) => {
      if (loss === 'renewed' && !renewed && !over) {
        renewed = true;
        void tellRenewed(trans);
      }
      if (loss !== 'refused') {
        return; // Lab says itself when a server was stopped or is out of reach
      }
      end({
        id: 'refused',
        time: '',
        level: 'error',
        code: 'refused',
        message: trans.__('Your server no longer accepts this page: your log-in or your account has ended.'),
        hint: trans.__('Your files are kept. What is not saved can be copied from this page. Log in again on the start page.')
      });
    });
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
    const look = async (panel: NotebookPanel): Promise<void> => {
      const session = panel.sessionContext.session;
      const kernel = session?.kernel?.id;
      if (!session || !kernel) {
        return;
      }
      // the server notes the reason before it announces the restart
      const status = await known.ask();
      const reason = reasonFor(status.notices, kernel, known.shown);
      if (reason) {
        known.noteSeen(keyOf(reason));
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

const SAID = 'cubehub-account:said';

/** Whether this browser has said something on an earlier page; from now on it has. */
function wasSaidHere(key: string): boolean {
  try {
    const before = window.localStorage.getItem(SAID);
    window.localStorage.setItem(SAID, key);
    return before === key;
  } catch {
    return false; // a browser that keeps nothing
  }
}

/** The kernels of the notebooks that are open on this page. */
function kernelsOf(tracker: INotebookTracker | null): ReadonlySet<string> {
  const found = new Set<string>();
  tracker?.forEach(panel => {
    const kernel = panel.sessionContext.session?.kernel?.id;
    if (kernel) {
      found.add(kernel);
    }
  });
  return found;
}

export default [account, item, notices, reasons, home];
