import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IThemeManager } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import '../style/index.css';

import type { IChosen } from './code-options.js';
import type { Aoi, IQuery } from './contract.js';
import { carriesSearch, formFrom, searchIn } from './form.js';
import { insertCode } from './insert.js';
import { CatalogueModel, picked } from './model.js';
import { CataloguePanel } from './panel.js';
import { Requests } from './request.js';
import { labPage } from './shared.js';
import { geometryOf } from './variable.js';

const ID = '@cubehub/catalogue:panel';
const WIDGET = 'cubehub-catalogue';
const STATE = `${ID}:form`;
/** What a person types is kept so long after the last change. */
const KEEP_MS = 500;

export const COMMANDS = {
  open: 'cubehub-catalogue:open',
  search: 'cubehub-catalogue:search',
  insert: 'cubehub-catalogue:insert-code',
  box: 'cubehub-catalogue:draw-box',
  polygon: 'cubehub-catalogue:draw-polygon',
  cart: 'cubehub-catalogue:add-to-cart',
  insertCart: 'cubehub-catalogue:insert-cart-code'
} as const;

const CHOSEN = {
  variant: { type: 'string', description: 'How the data are opened.' },
  template: { type: 'string', description: 'An administrator’s template.' },
  bands: { type: 'array', items: { type: 'string' }, description: 'Names of assets.' }
};

const panel: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Searches many catalogues and writes the code that loads what was found.',
  autoStart: true,
  requires: [IStateDB],
  optional: [ILayoutRestorer, ICommandPalette, INotebookTracker, ISettingRegistry, IThemeManager, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    state: IStateDB,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    tracker: INotebookTracker | null,
    registry: ISettingRegistry | null,
    themes: IThemeManager | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('cubehub_catalogue');
    const model = new CatalogueModel(new Requests(app.serviceManager.serverSettings));
    let folder = '';
    const widget = new CataloguePanel(model, trans, {
      insert: async code => {
        if (!tracker) {
          throw new Error(trans.__('There are no notebooks here.'));
        }
        await insertCode(app, tracker, code);
      },
      variable: tracker ? name => geometryOf(tracker, name) : null,
      folder: () => folder,
      page: labPage({
        origin: location.origin,
        baseUrl: PageConfig.getBaseUrl(),
        hubHost: PageConfig.getOption('hubHost'),
        hubPrefix: PageConfig.getOption('hubPrefix')
      })
    });
    widget.id = WIDGET;
    app.shell.add(widget, 'left', { rank: 300, type: 'CubeHub' });
    restorer?.add(widget, WIDGET);
    themes?.themeChanged.connect(() => widget.restyle());
    registry
      ?.load(ID)
      .then(settings => {
        const read = (): void => {
          folder = String(settings.get('downloadFolder').composite ?? '');
          model.limit = Number(settings.get('pageSize').composite) || model.limit;
        };
        settings.changed.connect(read);
        read();
      })
      .catch(() => undefined); // without settings the defaults are right

    const addressed = searchIn(window.location.hash);
    const carried = carriesSearch(window.location.hash);
    if (carried) {
      history.replaceState(null, '', window.location.pathname + window.location.search);
    }
    void Promise.all([app.restored, state.fetch(STATE).catch(() => undefined), model.load()]).then(([, kept]) => {
      if (addressed) {
        model.use(addressed);
        app.shell.activateById(WIDGET);
        void widget.search();
      } else {
        const form = formFrom(kept);
        model.form = form;
        const seen = textsOf((kept as { seen?: unknown } | undefined)?.seen);
        if (seen.length) {
          model.tickNew(seen);
        }
        model.set(model.form);
        if (carried) {
          app.shell.activateById(WIDGET);
          widget.tellLink();
        }
      }
      let timer = 0;
      model.changed.connect((_, change) => {
        if (change === 'form' || change === 'area' || change === 'catalogues') {
          clearTimeout(timer);
          timer = window.setTimeout(() => void state.save(STATE, { ...model.form, seen: model.seen } as never), KEEP_MS);
        }
      });
    });

    const add = (
      id: string,
      label: string,
      execute: (args: Record<string, unknown>) => unknown,
      properties: Record<string, object> = {},
      isEnabled: () => boolean = () => true
    ): void => {
      app.commands.addCommand(id, {
        label,
        isEnabled,
        describedBy: { args: { type: 'object', properties: properties as never } },
        execute: args => execute(args as Record<string, unknown>) as never
      });
      palette?.addItem({ command: id, category: trans.__('Catalogue') });
    };
    const open = (): void => app.shell.activateById(WIDGET);
    add(COMMANDS.open, trans.__('Search the Catalogues'), async () => {
      open();
      await widget.focusFirst();
    });
    add(
      COMMANDS.search,
      trans.__('Search with What Is Set'),
      async args => {
        open();
        widget.turnTo('search');
        if (args.query && typeof args.query === 'object') {
          model.use({ query: args.query as Partial<IQuery>, catalogues: (args.catalogues as string[] | undefined) ?? [] });
        }
        await widget.search();
      },
      { query: { type: 'object', description: 'What to search for; as in a kept search.' }, catalogues: { type: 'array', items: { type: 'string' } } }
    );
    add(
      COMMANDS.insert,
      trans.__('Insert Code for What Was Found'),
      async args => {
        open();
        widget.turnTo('search');
        const { code } = widget;
        await (Array.isArray(args.keys) ? code.give(textsOf(args.keys), chosenOf(args)) : code.give(code.keys, chosenOf(args), code.search));
      },
      {
        keys: { type: 'array', items: { type: 'string' }, description: 'Keys of rows; none is what is looked at or picked, else the whole search.' },
        ...CHOSEN
      },
      () => model.asked !== null && model.results.rows.length > 0
    );
    add(COMMANDS.box, trans.__('Draw a Box to Search in'), () => (open(), widget.draw('box')));
    add(COMMANDS.polygon, trans.__('Draw a Polygon to Search in'), () => (open(), widget.draw('polygon')));
    add(
      COMMANDS.insertCart,
      trans.__('Insert Code for the Cart'),
      async args => {
        open();
        widget.turnTo('cart');
        await widget.cartCode.give(chosenOf(args));
      },
      CHOSEN,
      () => model.saved.cart.length > 0
    );
    add(COMMANDS.cart, trans.__('Put What Is Picked into the Cart'), () => widget.put('cart', model.meant.map(picked)), {}, () => model.meant.length > 0);
  }
};

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(one => typeof one === 'string') : [];
}

/** What a command says in place of the panel's fields; what it does not say, these do. */
function chosenOf({ variant, template, bands }: Record<string, unknown>): IChosen {
  return {
    variant: typeof variant === 'string' ? variant : undefined,
    template: typeof template === 'string' ? template : undefined,
    bands: Array.isArray(bands) ? textsOf(bands) : undefined
  };
}

export type { Aoi, IQuery };
export default [panel];
