/** Items that were put aside, and the search that finds them again. No DOM here. */
import type { IEvent, IPicked, IQuery, IRow, ITrouble } from './contract.js';
import { EMPTY, queryOf } from './form.js';
import { Results } from './results.js';
import { Refusal } from './trouble.js';

/** Ids that one search takes, and items that one cell takes. */
export const MOST = 500;
/** Letters of an id that the server takes. */
const LONGEST_ID = 500;
export const BROKEN_OFF: ITrouble = { code: 'broken_off', message: 'The answer broke off.', hint: 'Try again.' };
/** The server forgets a search that nobody asks anything of for thirty minutes. */
const KEEP_MS = 15 * 60_000;

export interface IRefound {
  search: string;
  /** Of the items that are there, in the order of the cart. */
  keys: string[];
  /** No longer in their catalogues. */
  gone: IPicked[];
  /** Catalogues that could not be asked: nobody knows of their items. */
  failures: [string, ITrouble][];
}

interface IAsks {
  search(catalogues: string[], query: IQuery, signal: AbortSignal): AsyncGenerator<IEvent>;
  more(search: string, signal: AbortSignal): AsyncGenerator<IEvent>;
  giveUp(search: string): void;
}

export function same(a: IPicked, b: IPicked): boolean {
  return a.catalogue === b.catalogue && a.collection === b.collection && a.id === b.id;
}

/** What of these is not among those. */
export function without(items: readonly IPicked[], others: readonly IPicked[]): IPicked[] {
  return items.filter(item => !others.some(one => same(one, item)));
}

/** All of these and those, each once. */
export function joined(items: readonly IPicked[], others: readonly IPicked[]): IPicked[] {
  return [...items, ...without(others, items)];
}

/** An entry of the file as the panel shows it: a program may have kept the whole item in place of what names it. */
export function whole(entry: Partial<IPicked> & { item?: { id?: string; collection?: string } }): IPicked {
  const id = entry.id ?? entry.item?.id ?? '';
  const title = typeof entry.title === 'string' && entry.title ? entry.title : id;
  return { ...entry, catalogue: entry.catalogue ?? '', collection: entry.collection ?? entry.item?.collection ?? null, id, title };
}

/** Whether the server takes an id: for one that it does not take it would refuse them all. */
function isId(id: unknown): boolean {
  return typeof id === 'string' && [...id].length <= LONGEST_ID && /^(?:[^\p{C}\p{Z}]| )+$/u.test(id);
}

/** The search for items by their ids; without those whose ids no catalogue can be asked for.
 *
 * @throws Refusal where none is left: without ids it would be a search for everything.
 */
export function idsQuery(picked: readonly IPicked[]): { catalogues: string[]; query: IQuery } {
  const items = picked.filter(one => isId(one.id));
  if (!items.length) {
    throw new Refusal({ code: 'bad_ids', message: 'No catalogue can be asked for these items: their ids are no texts of one line.', hint: 'Remove them.' }, 0);
  }
  const catalogues = [...new Set(items.map(one => one.catalogue))];
  const collections: Record<string, string[]> = {};
  for (const catalogue of catalogues) {
    const of = items.filter(one => one.catalogue === catalogue).map(one => one.collection);
    if (!of.includes(null)) {
      collections[catalogue] = [...new Set(of as string[])];
    }
  }
  const ids = [...new Set(items.map(one => one.id))];
  const query = { ...queryOf(EMPTY, catalogues, Math.min(MOST, Math.max(10, ids.length))), collections, ids };
  return { catalogues, query };
}

/** The key of an item among rows and their copies; null where it is not there. */
export function keyOf(item: IPicked, rows: readonly IRow[]): string | null {
  for (const row of rows) {
    const found = [row, ...row.copies].find(
      one => one.catalogue === item.catalogue && one.id === item.id && (one.collection === item.collection || item.collection === null)
    );
    if (found) {
      return found.key;
    }
  }
  return null;
}

/** Items that their catalogues no longer have; of one that failed nobody knows. */
export function missingOf(items: readonly IPicked[], rows: readonly IRow[], failed: ReadonlySet<string>): IPicked[] {
  return items.filter(one => !failed.has(one.catalogue) && keyOf(one, rows) === null);
}

/** Finds the cart's items without a list to look at: code is written of items of a search. */
export class Refinder {
  constructor(
    private readonly requests: IAsks,
    private readonly now: () => number = Date.now
  ) {}

  /** Find them; what was found last is taken again as long as they are the same.
   *
   * @throws RangeError for more items than one search takes.
   */
  async find(items: readonly IPicked[]): Promise<IRefound> {
    const key = JSON.stringify(items.map(one => [one.catalogue, one.collection, one.id]));
    if (this.last?.key !== key || this.now() - this.last.at > KEEP_MS) {
      this.forget();
      const stop = new AbortController();
      const last = { key, stop, at: this.now(), found: this.look(items, stop.signal) };
      this.last = last;
      // a catalogue that failed is asked again the next time
      const again = (): void => {
        if (this.last === last) {
          this.last = null;
        }
      };
      last.found.then(found => found.failures.length && again(), again);
    }
    return this.last!.found;
  }

  /** Give up what was found: the server has forgotten it, or nobody wants it any more. */
  forget(): void {
    this.last?.stop.abort();
    this.last?.found.then(({ search }) => this.requests.giveUp(search), () => undefined);
    this.last = null;
  }

  private async look(items: readonly IPicked[], signal: AbortSignal): Promise<IRefound> {
    if (items.length > MOST) {
      throw new RangeError(String(items.length));
    }
    const { catalogues, query } = idsQuery(items);
    const results = new Results();
    results.begin();
    const take = async (events: AsyncGenerator<IEvent>): Promise<void> => {
      for await (const event of events) {
        results.take(event);
      }
      results.end();
    };
    await take(this.requests.search(catalogues, query, signal));
    // each page but the last has items, so that the ids bound them
    for (let pages = 0; results.search && results.more && pages < items.length && !signal.aborted; pages++) {
      await take(this.requests.more(results.search, signal));
    }
    const failures = [...results.answers].flatMap(([id, answer]): [string, ITrouble][] => (answer.state === 'failed' ? [[id, answer.error ?? BROKEN_OFF]] : []));
    if (results.search === null) {
      throw new Refusal(BROKEN_OFF, 0);
    }
    const keys = items.flatMap(one => keyOf(one, results.rows) ?? []);
    const gone = missingOf(items, results.rows, new Set(failures.map(([id]) => id)));
    return { search: results.search, keys: [...new Set(keys)], gone, failures };
  }

  private last: { key: string; stop: AbortController; at: number; found: Promise<IRefound> } | null = null;
}
