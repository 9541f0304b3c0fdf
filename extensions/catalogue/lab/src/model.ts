/** One search panel's state, and what it asks of the server. No DOM here. */
import { Signal, type ISignal } from '@lumino/signaling';

import { Areas, type AskedArea } from './areas.js';
import { BROKEN_OFF, idsQuery, missingOf, same, whole } from './cart.js';
import { collectionsIn } from './collections.js';
import type { Aoi, ICatalogue, ICatalogues, ICollection, IEvent, IPicked, IProperty, IQuery, IRow, ISaved, ITrouble } from './contract.js';
import { fieldsOf, rowsOf, type IField } from './filters.js';
import { EMPTY, formOf, PAGE, queryOf, type IForm } from './form.js';
import type { Requests } from './request.js';
import { Results } from './results.js';
import { Refusal, troubleOf } from './trouble.js';

export type Change = 'catalogues' | 'form' | 'results' | 'selection' | 'saved' | 'area';

/** Lines of a filter that the server looks at. */
const MOST_ROWS = 100;

export class CatalogueModel {
  known: ICatalogues = { catalogues: [], tiles: '', user_catalogues: false };
  /** Whether the server has said which catalogues there are. */
  loaded = false;
  /** Ids of the catalogues that the person could have chosen, now or before. */
  seen: readonly string[] = [];
  form: IForm = { ...EMPTY };
  trouble: ITrouble | null = null;
  saved: ISaved = { searches: [], favourites: [], cart: [] };
  savedTrouble: ITrouble | null = null;
  /** The file of what is saved was broken; the server says so once, so it stays until the person has seen it. */
  savedProblem: ITrouble | null = null;
  /** The page's address carried a search that can't be read. */
  linkTrouble: ITrouble | null = null;
  /** Items of cart and favourites that were looked for, and are no longer in their catalogues. */
  gone: IPicked[] = [];
  /** Items that the shown search was for; null: it was for what the form says. */
  lookedFor: readonly IPicked[] | null = null;
  /** Of the area; null where nobody said. */
  areaKm2: number | null = null;
  readonly results = new Results();
  /** What was asked for the rows that are shown. */
  asked: { query: IQuery; catalogues: string[] } | null = null;
  /** Stopped by the person: no further page is got until they ask for it. */
  halted = false;
  readonly selected = new Set<string>();
  active: string | null = null;
  /** Items of a page and catalogue. */
  limit = PAGE;

  constructor(readonly requests: Requests) {}

  get changed(): ISignal<this, Change> {
    return this._changed;
  }

  /** Ids of the catalogues that a search asks. */
  get chosen(): string[] {
    const ids = this.known.catalogues.map(one => one.id);
    const chosen = this.form.catalogues.filter(id => ids.includes(id));
    return chosen.length ? chosen : ids;
  }

  titleOf(catalogue: string): string {
    return this.known.catalogues.find(one => one.id === catalogue)?.title ?? catalogue;
  }

  async load(): Promise<void> {
    try {
      this.known = await this.requests.catalogues();
      this.trouble = null;
      this.tickNew(this.loaded ? this.seen : this.known.catalogues.map(one => one.id));
      this.loaded = true;
    } catch (error) {
      this.trouble = troubleOf(error);
    }
    this._changed.emit('catalogues');
    await this.loadSaved();
  }

  /** Choose catalogues that came after the person chose: what nobody has seen nobody has left out. */
  tickNew(seen: readonly string[]): void {
    const ids = this.known.catalogues.map(one => one.id);
    const fresh = ids.filter(id => !seen.includes(id));
    if (fresh.length && this.form.catalogues.length) {
      this.form = { ...this.form, catalogues: [...this.form.catalogues, ...fresh] };
    }
    this.seen = [...new Set([...seen, ...ids])];
  }

  set(part: Partial<IForm>): void {
    if ('aoi' in part) {
      this.areaKm2 = null;
      this.areas.forget();
    }
    this.form = { ...this.form, ...part };
    this._changed.emit('aoi' in part ? 'area' : 'form');
  }

  use(search: { query: Partial<IQuery>; catalogues: string[] }): void {
    this.form = formOf(search.query, search.catalogues);
    this.areaKm2 = null;
    this.areas.forget();
    this._changed.emit('catalogues');
    this._changed.emit('area');
  }

  /** Collections of a catalogue, asked once. */
  collections(id: string): Promise<ICollection[]> {
    return this.once(`collections ${id}`, async () => collectionsIn(await this.requests.collections(id)));
  }

  /** Fields to filter by, or to sort by, in what is chosen; catalogues that have none, or fail, add none. */
  async fields(of: 'queryables' | 'sortables' = 'queryables'): Promise<IField[]> {
    return fieldsOf({ properties: await this.properties(of) });
  }

  /** What the server says of the filters that are set, where the catalogues say what can be filtered by. */
  async filterWarnings(): Promise<string[]> {
    const rows = rowsOf(this.form.set).slice(0, MOST_ROWS);
    const names = rows.length ? Object.keys(await this.properties('queryables')) : [];
    // only the names: what catalogues write of them may be long
    const properties = Object.fromEntries(names.map(name => [name, {}]));
    return names.length ? this.requests.filterWarnings(rows, { properties }) : [];
  }

  private async properties(of: 'queryables' | 'sortables'): Promise<Record<string, IProperty>> {
    const asked = this.chosen.map(id => {
      const collections = this.form.collections[id] ?? this.defaultsOf(id);
      return this.once(`${of} ${id} ${collections.join(' ')}`, () => this.requests.schema(of, id, collections));
    });
    const properties: Record<string, IProperty> = {};
    for (const answer of await Promise.allSettled(asked)) {
      if (answer.status === 'fulfilled') {
        for (const [name, property] of Object.entries(answer.value?.properties ?? {})) {
          properties[name] ??= property;
        }
      }
    }
    return properties;
  }

  defaultsOf(id: string): string[] {
    return this.known.catalogues.find(one => one.id === id)?.collections ?? [];
  }

  /** Search in an area, or with `more` in the one that is set and in this one.
   *
   * @returns null where the person meanwhile set or removed the area otherwise.
   */
  area(asked: AskedArea, more = false): Promise<Aoi | null> {
    return this.areas.set(asked, () => (more ? this.form.aoi : null));
  }

  /** Ask anew, in the area that was set last. @throws RangeError for times that are none. */
  async search(): Promise<void> {
    await this.areas.settled();
    const catalogues = this.chosen;
    await this.begin(catalogues, queryOf(this.form, catalogues, this.limit));
  }

  /** Try again what failed: the next page, or all of it where the server has forgotten the search. */
  async again(): Promise<void> {
    if (this.results.search && this.results.more && !this.forgotten) {
      this.trouble = null;
      await this.goOn();
    } else if (this.lookedFor) {
      await this.searchItems(this.lookedFor);
    } else if (this.asked) {
      await this.begin(this.asked.catalogues, this.asked.query);
    } else {
      await this.load();
    }
  }

  /** Get further pages after all. */
  async goOn(): Promise<void> {
    this.halted = false;
    await this.more();
  }

  private async begin(catalogues: string[], query: IQuery): Promise<boolean> {
    this.stop();
    if (this.results.search) {
      this.requests.giveUp(this.results.search);
    }
    this.asked = { query, catalogues };
    this.lookedFor = null;
    this.results.begin();
    this.selected.clear();
    this.active = null;
    this.trouble = null;
    this.halted = this.forgotten = false;
    this._changed.emit('selection');
    return this.follow(signal => this.requests.search(catalogues, query, signal));
  }

  /** Show nothing: the person asks for something else, which can't be asked. */
  forgetResults(): void {
    this.stop();
    if (this.results.search) {
      this.requests.giveUp(this.results.search);
    }
    this.results.begin();
    this.results.end();
    this.selected.clear();
    [this.active, this.asked, this.lookedFor, this.trouble] = [null, null, null, null];
    this._changed.emit('selection');
    this._changed.emit('results');
  }

  /** Find items again by their ids, the cart's or the favourites', and pick them: they were picked once. */
  async searchItems(items: readonly IPicked[]): Promise<void> {
    let asking: ReturnType<typeof idsQuery>;
    try {
      asking = idsQuery(items);
    } catch (error) {
      this.forgetResults(); // what is shown was not asked for
      this.trouble = troubleOf(error);
      this._changed.emit('results');
      return;
    }
    const { catalogues, query } = asking;
    const following = this.begin(catalogues, query);
    this.lookedFor = items;
    const asked = this.asked;
    const ended = await following;
    if (this.asked === asked) {
      this.pickAll(this.results.rows);
    }
    if (ended && this.asked === asked && !this.results.more) {
      const silent = [...this.results.answers].filter(([, answer]) => answer.state !== 'answered').map(([id]) => id);
      this.tellGone(items, missingOf(items, this.results.rows, new Set(silent)));
      this._changed.emit('results');
    }
  }

  /** Remember which of the items that were looked for are no longer there. */
  tellGone(looked: readonly IPicked[], gone: readonly IPicked[]): void {
    this.gone = [...this.gone.filter(one => !looked.some(other => same(one, other))), ...gone];
    this._changed.emit('saved');
  }

  isGone(item: IPicked): boolean {
    return this.gone.some(one => same(one, item));
  }

  /** The person has read what was broken. */
  forgetProblem(): void {
    this.savedProblem = null;
    this._changed.emit('saved');
  }

  tellLink(trouble: ITrouble | null): void {
    this.linkTrouble = trouble;
    this._changed.emit('saved');
  }

  /** Get the next page; none by itself after a failure, or where the person stopped. */
  async more(): Promise<void> {
    const { search, more, running } = this.results;
    if (search && more && !running && !this.trouble && !this.halted) {
      this.results.running = true;
      await this.follow(signal => this.requests.more(search, signal));
    }
  }

  /** Ask a catalogue again that failed; what came from the others stays. */
  async retry(catalogue: string): Promise<void> {
    const { search, running } = this.results;
    if (search && !running) {
      this.results.running = true;
      this.trouble = null;
      this.halted = false;
      await this.follow(signal => this.requests.more(search, signal, [catalogue]));
    }
  }

  /** Stop what runs; what came stays. */
  stop(): void {
    this.halted = true;
    this.following?.abort();
    this.following = null;
    if (this.results.running) {
      this.results.end(true);
      this._changed.emit('results');
    }
  }

  dispose(): void {
    this.stop();
    if (this.results.search) {
      this.requests.giveUp(this.results.search);
    }
    Signal.clearData(this);
  }

  activate(key: string | null): void {
    this.active = key;
    this._changed.emit('selection');
  }

  pick(key: string, picked = !this.selected.has(key)): void {
    if (picked) {
      this.selected.add(key);
    } else {
      this.selected.delete(key);
    }
    this.picks++;
    this._changed.emit('selection');
  }

  /** Pick many at once: each that is told by itself would be drawn by itself. */
  pickAll(rows: readonly IRow[]): void {
    rows.forEach(row => this.selected.add(row.key));
    this.picks++;
    this._changed.emit('selection');
  }

  /** Another text whenever other rows are meant; ten thousand keys are not compared at each move. */
  get meaning(): string {
    return this.selected.size ? `picked ${this.picks}` : this.active ? `active ${this.active}` : `all ${this.results.rows.length}`;
  }

  /** Rows that a command means: the picked ones, else the active one. */
  get meant(): IRow[] {
    const keys = this.selected.size ? [...this.selected] : this.active ? [this.active] : [];
    return keys.flatMap(key => this.results.row(key) ?? []);
  }

  /** Change what is saved: read, changed and written; once more where another page was faster. */
  async change(changer: (saved: ISaved) => ISaved): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        const wanted = changer(this.saved);
        const { version, problem } = await this.requests.save(wanted, this.version);
        [this.saved, this.version] = [wanted, version];
        this.savedProblem = problem ?? this.savedProblem;
        this.savedTrouble = null;
        break;
      } catch (error) {
        if (error instanceof Refusal && error.status === 412 && tries < 3) {
          if (error.trouble.code === 'saved_broken') {
            this.savedProblem = error.trouble;
          }
          await this.loadSaved();
          continue;
        }
        this.savedTrouble = troubleOf(error);
        break;
      }
    }
    this._changed.emit('saved');
  }

  async loadSaved(): Promise<void> {
    try {
      const { saved, version } = await this.requests.saved();
      const { problem, ...kept } = saved;
      this.saved = { ...kept, favourites: kept.favourites.map(whole), cart: kept.cart.map(whole) };
      this.version = version;
      this.savedProblem = problem ?? this.savedProblem;
      this.savedTrouble = null;
    } catch (error) {
      this.savedTrouble = troubleOf(error);
    }
    this._changed.emit('saved');
  }

  private once<Answer>(key: string, ask: () => Promise<Answer>): Promise<Answer> {
    let asked = this.remembered.get(key) as Promise<Answer> | undefined;
    if (!asked) {
      asked = ask();
      this.remembered.set(key, asked);
      asked.catch(() => this.remembered.delete(key)); // a failure is asked again
    }
    return asked;
  }

  /** @returns whether it came to its end. */
  private async follow(ask: (signal: AbortSignal) => AsyncGenerator<IEvent>): Promise<boolean> {
    const following = new AbortController();
    this.following = following;
    this._changed.emit('results');
    let whole = false;
    try {
      for await (const event of ask(following.signal)) {
        if (following.signal.aborted) {
          return false;
        }
        this.results.take(event);
        whole ||= event.event === 'end';
        this._changed.emit('results');
      }
      if (!whole && !following.signal.aborted) {
        this.trouble = BROKEN_OFF;
      }
      return whole && !following.signal.aborted;
    } catch (error) {
      if (!following.signal.aborted) {
        this.trouble = troubleOf(error);
        this.forgotten = error instanceof Refusal && error.status === 404;
      }
      return false;
    } finally {
      if (this.following === following) {
        this.following = null;
        this.results.end();
        this._changed.emit('results');
      }
    }
  }

  private version = '*';
  private picks = 0;
  private readonly areas = new Areas(
    asked => this.requests.aoi(asked),
    ({ aoi, area_km2 }) => {
      this.form = { ...this.form, aoi };
      this.areaKm2 = area_km2 ?? null;
      this._changed.emit('area');
    }
  );
  /** The server no longer knows the search. */
  private forgotten = false;
  private following: AbortController | null = null;
  private readonly remembered = new Map<string, Promise<unknown>>();
  private readonly _changed = new Signal<this, Change>(this);
}

export function picked(row: IRow): IPicked {
  return { catalogue: row.catalogue, collection: row.collection, id: row.id, title: row.title };
}

export type { ICatalogue };
