import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { Answers } from './answers.js';
import { AreaForm } from './area.js';
import { Choices } from './choices.js';
import { CartCode, CodeBar } from './code-bar.js';
import type { IPicked, IRow } from './contract.js';
import { button, fold, input, labelled, make, toTop } from './dom.js';
import { FilterForm } from './filter-form.js';
import { ItemView } from './item-view.js';
import { Downloads, Kept } from './kept.js';
import { ResultList } from './list.js';
import type { SearchMap } from './map.js';
import { picked, type CatalogueModel, type Change } from './model.js';
import { Notice } from './notice.js';
import { RowTools } from './row-tools.js';
import { SortChoice } from './sort-choice.js';
import { Tabs } from './tabs.js';
import { troubleOf } from './trouble.js';

type Tab = 'search' | 'kept' | 'cart' | 'downloads';

export interface IHost {
  insert: (code: string) => Promise<void>;
  variable: ((name: string) => Promise<string>) | null;
  folder: () => string;
  /** Lab's page for a link that is given to others. */
  page: string;
}

/** The search panel: what to ask, what came, and what is done with it. */
export class CataloguePanel extends Widget {
  readonly code: CodeBar;
  readonly cartCode: CartCode;

  constructor(
    readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    host: IHost
  ) {
    super();
    this.addClass('cubehub-cat');
    this.title.caption = trans.__('Catalogue');
    this.title.iconClass = 'cubehub-cat-icon';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Catalogue'));
    this.choices = new Choices(model, trans);
    this.area = new AreaForm(model, trans, host.variable);
    this.filters = new FilterForm(model, trans);
    this.answers = new Answers(model, trans);
    this.code = new CodeBar(model, trans, host.insert);
    this.cartCode = new CartCode(model, trans, host.insert);
    this.notice = new Notice(model, trans);
    this.sort = new SortChoice(model, trans);
    this.list = new ResultList(model, trans, { details: row => this.details(row), near: () => void model.more() });
    this.tools = new RowTools(model, trans, row => this.details(row));
    this.item = new ItemView(model, trans, {
      back: () => this.closeItem(),
      shown: what => this.code.look(what),
      code: (search, key, bands) => this.code.give([key], { bands }, search),
      cart: row => this.put('cart', [picked(row)]),
      favourite: row => this.put('favourites', [picked(row)]),
      download: (search, key, assets) => model.requests.download(search, key, assets, host.folder())
    });
    this.kept = new Kept(model, trans, {
      run: search => {
        model.use(search);
        this.turnTo('search');
        void this.search();
      },
      find: items => this.find(items)
    }, host.page, this.cartCode.node);
    this.downloads = new Downloads(model, trans);
    this.build();
    model.changed.connect(this.onChanged, this);
    this.onChanged(model, 'catalogues');
    this.onChanged(model, 'selection');
    this.turnTo('search');
  }

  /** Ask for what is set; the first wrong field is named. */
  async search(): Promise<void> {
    for (const one of [this.start, this.end]) {
      one.setAttribute('aria-invalid', 'false');
    }
    this.trouble.textContent = '';
    this.tools.clear();
    this.closeItem(false);
    if (!this.model.known.catalogues.length) {
      await this.model.load();
      if (!this.model.known.catalogues.length) {
        this.choices.ask(); // nobody to ask
        return;
      }
    }
    this.list.node.scrollTop = 0;
    this.toResults = true;
    try {
      await this.model.search();
    } catch (error) {
      if (!(error instanceof RangeError)) {
        throw error;
      }
      const wrong = [this.start, this.end].find(one => one.value.trim() === error.message) ?? this.end;
      this.model.forgetResults(); // what is shown was not asked for
      wrong.setAttribute('aria-invalid', 'true');
      this.trouble.textContent = this.trans.__('This is no time, or the end is before the start: %1. Write 2024, 2024-05, 2024-05-31 or 2024-05-31T10:15.', error.message);
      this.when.open = true;
      wrong.focus();
    }
  }

  /** The cart's or the favourites' items, found again. */
  find(items: IPicked[]): void {
    this.turnTo('search');
    this.closeItem(false);
    this.list.node.scrollTop = 0;
    void this.model.searchItems(items);
  }

  /** The page was opened by a link whose search can't be read. */
  tellLink(): void {
    const { trans } = this;
    this.turnTo('search');
    this.model.tellLink({ code: 'bad_link', message: trans.__('The search in this link can’t be read.'), hint: trans.__('Ask for the link anew; what you had set is still here.') });
  }

  turnTo(tab: Tab): void {
    this.tabs.turnTo(tab);
    if (tab === 'downloads') {
      void this.downloads.look();
    } else if (tab === 'search') {
      this.map?.resize();
      this.list.later();
    } else {
      void this.model.loadSaved();
    }
  }

  /** Put the focus into the panel for good: the palette gives it back to the notebook, by messages after the command's own. */
  async focusFirst(): Promise<void> {
    await new Promise(done => requestAnimationFrame(done)); // by then those messages are through
    this.first?.focus();
  }

  /** What of the shown page can be used first. */
  private get first(): HTMLElement | null {
    const inside = this.tabs.page.querySelectorAll<HTMLElement>('summary, button:not(:disabled), input:not(:disabled), select, textarea, [tabindex="0"]');
    return [...inside].find(one => one.checkVisibility()) ?? this.tabs.node.querySelector<HTMLElement>('[aria-selected="true"]');
  }

  /** Begin to draw on the map, as a command can. */
  async draw(kind: 'box' | 'polygon'): Promise<void> {
    this.turnTo('search');
    await this.loadMap();
    this.map?.startDrawing(kind);
  }

  put(where: 'cart' | 'favourites', items: IPicked[]): void {
    this.tools.put(where, items);
  }

  /** Another theme: the map's colours are drawn, not styled, so it is made anew. */
  restyle(): void {
    if (this.map) {
      this.map.dispose();
      this.map = null;
      this.loading = null;
      this.mapNode.replaceChildren();
      void this.loadMap();
    }
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.map?.dispose();
    this.map = null;
    this.list.dispose();
    this.downloads.dispose();
    this.code.dispose();
    this.cartCode.dispose();
    this.model.dispose();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.loadMap();
    this.list.later();
    if (this.tabs.shown === 'downloads') {
      void this.downloads.look();
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      void this.loadMap();
    }
  }

  protected override onResize(message: Widget.ResizeMessage): void {
    super.onResize(message);
    this.map?.resize();
    this.list.later();
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.first?.focus();
  }

  private build(): void {
    const { trans } = this;
    this.trouble.setAttribute('role', 'alert');
    this.text.placeholder = trans.__('words, if a catalogue knows them');
    for (const one of [this.start, this.end]) {
      one.placeholder = trans.__('open');
    }
    const when = fold(
      trans.__('When (UTC)'), true,
      make('div', 'cubehub-cat-range', labelled(trans.__('From'), this.start), labelled(trans.__('To'), this.end)),
      this.trouble
    );
    this.when = when.node;
    const where = fold(trans.__('Where'), true, this.mapNode, this.area.node);
    this.sayWhere = where.say;
    where.node.addEventListener('toggle', () => this.map?.resize());
    const words = fold(trans.__('Words and order'), false, labelled(trans.__('Words'), this.text), labelled(trans.__('Order'), this.sort.node));
    words.node.addEventListener('toggle', () => void this.sort.load(words.node.open));
    this.sayWords = words.say;
    this.go = button(trans.__('Search'), () => void this.search(), 'cubehub-mod-main');
    this.halt = button(trans.__('Stop'), () => this.model.stop());
    this.halt.hidden = true;
    // no form element: the parts within have forms of their own
    const form = make(
      'div', 'cubehub-cat-form',
      this.choices.catalogues, this.choices.collections, where.node, when.node, this.filters.node, words.node,
      make('div', 'cubehub-cat-buttons', this.go, this.halt)
    );
    for (const one of [this.start, this.end, this.text]) {
      one.addEventListener('keydown', event => {
        if (event.key === 'Enter') {
          this.model.set({ start: this.start.value.trim(), end: this.end.value.trim(), text: this.text.value }); // before the browser says that it changed
          void this.search();
        }
      });
    }
    this.start.addEventListener('change', () => this.model.set({ start: this.start.value.trim() }));
    this.end.addEventListener('change', () => this.model.set({ end: this.end.value.trim() }));
    this.text.addEventListener('change', () => this.model.set({ text: this.text.value }));
    this.found.append(this.answers.node, this.list.node, this.tools.node);
    this.code.node.prepend(this.tools.said);
    const page = make(
      'div', 'cubehub-cat-page cubehub-cat-search',
      make('div', 'cubehub-cat-scrolled', form, make('div', 'cubehub-cat-right', this.found, this.item.node)), this.code.node
    );
    this.tabs = new Tabs(trans.__('Catalogue'), {
      search: [trans.__('Search'), page],
      cart: [trans.__('Cart'), this.kept.cart],
      kept: [trans.__('Kept'), this.kept.searches],
      downloads: [trans.__('Downloads'), this.downloads.node]
    }, name => this.turnTo(name));
    this.node.append(this.tabs.node, this.notice.node, ...this.tabs.pages);
    this.node.addEventListener('keydown', event => {
      if (event.key === 'Escape' && this.map?.drawing) {
        this.map.stopDrawing();
        event.preventDefault();
        event.stopPropagation();
      } else if (event.key === 'Escape' && !this.item.node.hidden) {
        this.closeItem();
        event.preventDefault();
        event.stopPropagation();
      }
    });
    this.mapNode.tabIndex = 0;
    this.mapNode.setAttribute('role', 'application');
    this.mapNode.setAttribute('aria-label', trans.__('Map: arrow keys move it, + and − zoom. The fields below do the same without it.'));
  }

  private onChanged(model: CatalogueModel, change: Change): void {
    const { trans } = this;
    if (change === 'catalogues' || change === 'form' || change === 'area') {
      this.choices.write();
      this.filters.write();
      this.area.write();
      const { form } = model;
      const km2 = model.areaKm2;
      const area = km2 === null ? trans.__('an area is set') : trans.__('an area is set: %1 km²', km2 < 10 ? km2.toFixed(2) : Math.round(km2).toLocaleString());
      this.sayWhere(form.aoi ? area : trans.__('everywhere'));
      this.sayWords(form.text.trim() || '');
      for (const [one, value] of [[this.start, form.start], [this.end, form.end], [this.text, form.text]] as const) {
        if (one !== document.activeElement) {
          one.value = value;
        }
      }
      this.sort.write();
      if (change === 'area' || change === 'catalogues') {
        this.map?.showArea(form.aoi, change === 'area');
        if (this.map && model.known.tiles !== this.tiles) {
          this.restyle(); // the map was there before the server said which tiles there are
        }
      }
    }
    if (change === 'catalogues' || change === 'results') {
      this.answers.write();
      this.halt.hidden = !model.results.running;
      this.list.node.hidden = model.results.rows.length === 0;
      if (this.item.search !== null && this.item.search !== model.results.search) {
        this.closeItem(false); // of another search, however that was begun
      }
      this.list.later();
      this.drawRows();
      if (this.toResults && (model.results.rows.length || !model.results.running)) {
        this.toResults = false; // below a long form nobody would see that something came
        toTop(this.answers.node);
      }
    }
    if (change === 'selection') {
      this.list.later();
      this.drawRows();
      if (model.active) {
        this.map?.reveal(model.active);
      }
    }
    if (change === 'selection' || change === 'results') {
      this.code.draw();
      this.tools.write();
    }
    if (change === 'saved' || change === 'catalogues') {
      this.kept.write();
      this.notice.write();
      this.cartCode.draw();
      this.tabs.count('cart', model.saved.cart.length);
    }
  }

  /** Outlines once a frame, however fast rows come. */
  private drawRows(): void {
    if (this.map && !this.drawing) {
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        this.map?.showRows(this.model.results, this.model.active, this.model.selected);
      });
    }
  }

  private details(row: IRow): void {
    this.model.activate(row.key);
    this.found.hidden = true;
    void this.item.show(row);
  }

  private closeItem(focus = true): void {
    this.tools.clear();
    if (this.item.node.hidden) {
      return;
    }
    this.item.hide();
    this.found.hidden = false;
    this.list.later();
    if (focus) {
      this.list.node.focus();
    }
  }

  private loadMap(): Promise<void> {
    this.loading ??= (async () => {
      try {
        const { SearchMap: Loaded } = await import('./map.js');
        if (this.isDisposed) {
          return;
        }
        this.tiles = this.model.known.tiles;
        this.map = new Loaded(
          this.mapNode,
          {
            drawn: drawn => this.area.drawn(drawn),
            clicked: key => {
              this.model.activate(key);
              this.list.reveal(key);
            },
            stopped: () => this.area.stopped()
          },
          this.trans,
          this.tiles
        );
        this.area.attach(this.map);
        this.map.showArea(this.model.form.aoi, true);
        this.drawRows();
      } catch (error) {
        this.loading = null;
        this.mapNode.textContent = this.trans.__('The map could not be loaded: %1', troubleOf(error).message);
      }
    })();
    return this.loading;
  }

  private readonly choices: Choices;
  private readonly area: AreaForm;
  private readonly filters: FilterForm;
  private readonly answers: Answers;
  private readonly list: ResultList;
  private readonly item: ItemView;
  private readonly kept: Kept;
  private readonly notice: Notice;
  private readonly sort: SortChoice;
  private readonly tools: RowTools;
  private readonly downloads: Downloads;
  private readonly mapNode = make('div', 'cubehub-cat-map');
  private readonly found = make('div', 'cubehub-cat-found');
  private readonly start = input('text');
  private readonly end = input('text');
  private readonly text = input('search');
  private readonly trouble = make('p', 'cubehub-cat-trouble');
  private when!: HTMLDetailsElement;
  private go!: HTMLButtonElement;
  private halt!: HTMLButtonElement;
  private sayWhere: (text: string) => void = () => undefined;
  private sayWords: (text: string) => void = () => undefined;
  private tabs!: Tabs<Tab>;
  private map: SearchMap | null = null;
  private loading: Promise<void> | null = null;
  private drawing = 0;
  /** Address of the tiles that the map was made with. */
  private tiles = '';
  private toResults = false;
}
