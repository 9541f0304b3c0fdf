import type { TranslationBundle } from '@jupyterlab/translation';

import { MOST, Refinder, type IRefound } from './cart.js';
import { CodeOptions, type IChosen, type Of } from './code-options.js';
import type { ICode, IPicked } from './contract.js';
import { allow, button, make, named, told } from './dom.js';
import type { ILooked } from './item-view.js';
import type { CatalogueModel } from './model.js';
import { Refusal, troubleOf } from './trouble.js';

/** To a cell: and whether it fits into the person's memory. What it is written of, its children say. */
abstract class CodeWriter {
  readonly node = make('div', 'cubehub-cat-code');

  constructor(
    protected readonly model: CatalogueModel,
    protected readonly trans: TranslationBundle,
    private readonly insert: (code: string) => Promise<void>
  ) {
    this.state.setAttribute('role', 'status');
    this.options = new CodeOptions(model.requests, trans, () => this.of());
  }

  dispose(): void {
    this.options.dispose();
  }

  /** Of what a cell would be now; null where nothing is. */
  protected abstract of(): Promise<Of | null>;

  /** Put the code in, and say what it will take. */
  protected async write(find: () => Promise<Of | null>, said: IChosen = {}, notes: () => string[] = () => []): Promise<void> {
    if (this.busy) {
      return; // a second click is not a second cell
    }
    this.busy = true;
    this.say(this.trans.__('Being written …'));
    try {
      const of = await find();
      if (of === null) {
        this.say([this.trans.__('There is nothing to write code for.'), ...notes()].join(' '), true);
        return;
      }
      const options = this.options.chosen(said);
      const code = await this.model.requests.code({ ...of, options }).catch(async (error: unknown) => {
        const again = error instanceof Refusal && error.status === 404 && this.forget() ? await find() : null;
        if (again === null) {
          throw error;
        }
        return this.model.requests.code({ ...again, options });
      });
      await this.insert(code.code);
      this.tell(code, notes());
    } catch (error) {
      this.say('', true);
      this.state.replaceChildren(...told(troubleOf(error)));
    } finally {
      this.busy = false;
    }
  }

  /** Other items are meant than those of which the last words were. */
  protected other(): void {
    this.options.stale();
    if (!this.busy) {
      this.say('');
    }
  }

  /** Forget a search that the server no longer knows. @returns whether it can be asked again. */
  protected forget(): boolean {
    return false;
  }

  protected say(text: string, trouble = false): void {
    this.state.className = trouble ? 'cubehub-cat-trouble' : 'cubehub-cat-hint';
    this.state.textContent = text;
  }

  private tell({ estimate, needs, missing, warnings, cube }: ICode, notes: string[]): void {
    const { trans } = this;
    this.state.replaceChildren(make('span', '', trans.__('Inserted. %1', estimate?.text ?? '')));
    if (estimate?.ratio && estimate.ratio > 0) {
      const meter = make('meter', 'cubehub-cat-meter');
      [meter.min, meter.max, meter.high, meter.value] = [0, 1, 0.7, Math.min(1, estimate.ratio)];
      meter.setAttribute('aria-label', trans.__('Share of your memory'));
      this.state.append(meter);
    }
    if (missing?.length) {
      const lacking = make('span', 'cubehub-cat-facts cubehub-mod-warning', trans.__('Not installed here: %1. Run this in a cell first:', missing.join(', ')), ' ');
      lacking.append(make('code', '', `%pip install ${missing.join(' ')}`));
      this.state.append(lacking);
    }
    const needed = (needs ?? []).filter(one => !missing?.includes(one));
    const texts = [
      ...notes,
      ...(needed.length ? [trans.__('It needs %1.', needed.join(', '))] : []),
      ...(cube ? [trans.__('The cube server has this as %1.', cube)] : []),
      ...(warnings ?? [])
    ];
    this.state.append(...texts.map(text => make('span', 'cubehub-cat-facts', named(text))));
  }

  protected readonly options: CodeOptions;
  protected readonly state = make('div', 'cubehub-cat-hint');
  private busy = false;
}

/** From what is picked, what is looked at, or the whole search. */
export class CodeBar extends CodeWriter {
  constructor(model: CatalogueModel, trans: TranslationBundle, insert: (code: string) => Promise<void>) {
    super(model, trans, insert);
    this.items = button(trans.__('Insert code'), () => void this.give(this.keys, {}, this.search), 'cubehub-mod-main');
    this.whole = button(trans.__('Code for the search'), () => void this.give([]));
    this.node.append(make('div', 'cubehub-cat-buttons', this.items, this.whole), this.state, this.options.node);
    this.draw();
  }

  /** Rows, or the copy that is looked at: what code is inserted for. */
  get keys(): string[] {
    return this.only ? [this.only.key] : this.model.meant.map(row => row.key);
  }

  /** Of which search they are. */
  get search(): string | null {
    return this.only ? this.only.search : this.model.results.search;
  }

  /** The copy of an item that is looked at; null: what is picked in the list. */
  look(only: ILooked | null): void {
    this.only = only;
    this.draw();
  }

  draw(): void {
    const { model, trans, keys } = this;
    this.node.hidden = !model.asked; // nothing was searched yet: two buttons that do nothing
    const why = this.trans.__('Pick items in the list first.');
    const nothing = model.results.rows.length || model.results.running ? null : trans.__('Nothing was found.');
    const many = keys.length > MOST ? trans.__('A cell is for at most %1 items.', MOST) : null;
    allow(this.items, nothing ?? many ?? (keys.length && this.search ? null : why));
    this.items.textContent = this.only
      ? trans.__('Insert code for this item')
      : keys.length > 1 ? trans._n('Insert code for %1 item', 'Insert code for %1 items', keys.length) : trans.__('Insert code');
    allow(this.whole, nothing);
    const meant = this.only ? `${this.only.search} ${this.only.key}` : `${model.results.search} ${model.meaning}`;
    if (meant !== this.meant) {
      this.meant = meant;
      this.other();
    }
  }

  /** Insert the code.
   *
   * @param keys - Of items; none is the whole search.
   * @param search - Of which the keys are.
   */
  async give(keys: readonly string[], said: IChosen = {}, search = this.model.results.search): Promise<void> {
    if (this.model.asked) {
      await this.write(async () => this.body(keys, search), said);
    }
  }

  protected override async of(): Promise<Of | null> {
    return this.search ? this.body(this.keys, this.search) : null;
  }

  private body(keys: readonly string[], search: string | null): Of | null {
    const { asked, results } = this.model;
    if (!asked) {
      return null;
    }
    return keys.length && search
      ? { search, keys: [...keys] }
      : { query: asked.query, catalogues: asked.catalogues, search: results.search };
  }

  private readonly items: HTMLButtonElement;
  private readonly whole: HTMLButtonElement;
  private only: ILooked | null = null;
  private meant = '';
}

/** From the cart, whose items are found again without a list. */
export class CartCode extends CodeWriter {
  constructor(model: CatalogueModel, trans: TranslationBundle, insert: (code: string) => Promise<void>) {
    super(model, trans, insert);
    this.refinder = new Refinder(model.requests);
    this.button = button(trans.__('Insert code'), () => void this.give(), 'cubehub-mod-main');
    this.node.append(make('div', 'cubehub-cat-buttons', this.button), this.state, this.options.node);
    this.draw();
  }

  draw(): void {
    const { cart } = this.model.saved;
    this.node.hidden = !cart.length;
    this.button.textContent = this.trans._n('Insert code for %1 item', 'Insert code for %1 items', cart.length);
    const items = JSON.stringify(cart.map(one => [one.catalogue, one.collection, one.id]));
    if (items !== this.items) {
      this.items = items;
      this.other();
    }
  }

  /** Insert code for all that is in the cart. */
  async give(said: IChosen = {}): Promise<void> {
    let notes: string[] = [];
    const find = async (): Promise<Of | null> => {
      const found = await this.find();
      notes = found ? this.notes(found) : [];
      return found?.keys.length ? { search: found.search, keys: found.keys } : null;
    };
    try {
      await this.write(find, said, () => notes);
    } finally {
      this.draw();
    }
  }

  override dispose(): void {
    super.dispose();
    this.refinder.forget();
  }

  protected override forget(): boolean {
    this.refinder.forget();
    return true;
  }

  protected override async of(): Promise<Of | null> {
    const found = await this.find();
    return found?.keys.length ? { search: found.search, keys: found.keys } : null;
  }

  private async find(): Promise<IRefound | null> {
    const items: IPicked[] = this.model.saved.cart;
    if (!items.length) {
      return null;
    }
    if (items.length > MOST) {
      const message = this.trans.__('A cell is for at most %1 items, and there are %2 in the cart.', MOST, items.length);
      throw new Refusal({ code: 'too_many', message, hint: this.trans.__('Remove some.') }, 0);
    }
    const found = await this.refinder.find(items);
    this.model.tellGone(items, found.gone);
    return found;
  }

  private notes({ gone, failures }: IRefound): string[] {
    const { trans } = this;
    return [
      ...(gone.length ? [trans.__('No longer in their catalogues, so left out: %1.', gone.map(one => one.title || one.id).join(', '))] : []),
      ...failures.map(([id, { message, hint }]) => trans.__('Left out what is of %1: %2', this.model.titleOf(id), `${message} ${hint}`))
    ];
  }

  private readonly refinder: Refinder;
  private readonly button: HTMLButtonElement;
  private items = '';
}
