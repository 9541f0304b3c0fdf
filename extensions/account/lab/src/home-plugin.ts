import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IAccount } from './account';
import { HomePanel } from './home-panel';
import { OPEN_HOME } from './model';
import { StorageRequests } from './storage-request';

/** Opens the panel from the palette, from the View menu (schema/home.json), from the status bar's box and from notices. */
export const home: JupyterFrontEndPlugin<void> = {
  id: '@cubehub/account:home',
  description: 'Shows what fills the home, what will be cleaned up, and brings back what was.',
  autoStart: true,
  requires: [IAccount],
  optional: [ICommandPalette, ITranslator],
  activate: (app: JupyterFrontEnd, known: IAccount, palette: ICommandPalette | null, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('cubehub_account');
    let panel: HomePanel | null = null;
    let limit: number | null = null;
    known.changed.connect((_, status) => {
      limit = status.storage_bytes;
      panel?.tellLimit(limit);
    });
    app.commands.addCommand(OPEN_HOME, {
      label: trans.__('What Fills My Home'),
      caption: trans.__('Folders by size, what will be cleaned up, and what was moved away'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => {
        if (!panel || panel.isDisposed) {
          panel = new HomePanel(new StorageRequests(app.serviceManager.serverSettings), trans);
          panel.id = 'cubehub-account-home';
          panel.tellLimit(limit);
          app.shell.add(panel, 'right', { rank: 900, type: 'CubeHub' });
        }
        app.shell.activateById(panel.id);
      }
    });
    palette?.addItem({ command: OPEN_HOME, category: trans.__('Your Server') });
  }
};
