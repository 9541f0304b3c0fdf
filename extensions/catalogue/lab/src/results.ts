/** What came of a search: rows in one order, and how each catalogue fared. No DOM here. */
import type { IEvent, IRow, ITrouble, Order } from './contract.js';

export interface IAnswer {
  /** Stopped: by the person. */
  state: 'asking' | 'answered' | 'failed' | 'stopped';
  count: number;
  matched: number | null;
  more: boolean;
  ignored: string[];
  /** What the person should know of the answer, in the server's words. */
  warnings: string[];
  tookMs: number | null;
  error: ITrouble | null;
}

/** Compare keys of order: numbers and texts ascending, what is missing last. */
export function compare(a: Order, b: Order): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i] ?? null, b[i] ?? null];
    if (x === y) {
      continue;
    }
    if (x === null || y === null) {
      return x === null ? 1 : -1;
    }
    if (typeof x === typeof y) {
      return x < y ? -1 : 1;
    }
    return typeof x === 'number' ? -1 : 1;
  }
  return 0;
}

export class Results {
  search: string | null = null;
  readonly answers = new Map<string, IAnswer>();
  more = false;
  running = false;
  /** As many rows as the server keeps are there: it asks for no more. */
  full = false;
  /** So many rows in order will not change any more. */
  final = 0;

  get rows(): readonly IRow[] {
    return this.sorted;
  }

  row(key: string): IRow | undefined {
    return this.byKey.get(key);
  }

  position(key: string): number {
    return this.sorted.findIndex(row => row.key === key);
  }

  /** How many there are in all where every catalogue said so, else null. */
  get matched(): number | null {
    let sum = 0;
    for (const answer of this.answers.values()) {
      if (answer.state !== 'answered' || answer.matched === null) {
        return null;
      }
      sum += answer.matched;
    }
    return this.answers.size ? sum : null;
  }

  get failures(): [string, ITrouble][] {
    return [...this.answers].flatMap(([id, answer]): [string, ITrouble][] => (answer.error ? [[id, answer.error]] : []));
  }

  begin(): void {
    this.search = null;
    this.answers.clear();
    this.byKey.clear();
    this.sorted = [];
    this.final = 0;
    this.more = false;
    this.full = false;
    this.running = true;
  }

  take(event: IEvent): void {
    switch (event.event) {
      case 'search':
        this.search = event.search;
        break;
      case 'asking':
        this.answers.set(event.catalogue, { ...this.answer(event.catalogue), state: 'asking', error: null });
        break;
      case 'rows':
        this.add(event.rows);
        break;
      case 'answered': {
        const before = this.answer(event.catalogue);
        this.answers.set(event.catalogue, {
          state: 'answered',
          count: before.count + event.count,
          matched: event.matched ?? before.matched,
          more: event.more,
          ignored: event.ignored,
          warnings: [...new Set([...before.warnings, ...(event.warnings ?? [])])],
          tookMs: event.took_ms,
          error: null
        });
        break;
      }
      case 'failed':
        this.answers.set(event.catalogue, { ...this.answer(event.catalogue), state: 'failed', error: event.error });
        break;
      case 'end':
        this.more = event.more;
        this.full = event.full ?? false;
        this.final = event.final ?? this.sorted.length;
        this.running = false;
        break;
    }
  }

  /** The stream ended, whatever it said. */
  end(stopped = false): void {
    this.running = false;
    for (const [id, answer] of this.answers) {
      if (answer.state === 'asking') {
        this.answers.set(id, { ...answer, state: answer.count ? 'answered' : stopped ? 'stopped' : 'failed' });
      }
    }
  }

  private answer(catalogue: string): IAnswer {
    return (
      this.answers.get(catalogue) ?? {
        state: 'asking', count: 0, matched: null, more: false, ignored: [], warnings: [], tookMs: null, error: null
      }
    );
  }

  private add(rows: IRow[]): void {
    const fresh: IRow[] = [];
    for (const row of rows) {
      const before = this.byKey.get(row.key);
      this.byKey.set(row.key, row);
      if (!before) {
        fresh.push(row);
      } else if (compare(before.order, row.order)) {
        this.sorted = this.sorted.filter(one => one.key !== row.key);
        fresh.push(row);
      } else {
        this.sorted[this.sorted.indexOf(before)] = row;
      }
    }
    fresh.sort((a, b) => compare(a.order, b.order));
    // both are in order: one pass, not a sort of thousands for each handful that comes
    const merged: IRow[] = [];
    let next = 0;
    for (const row of this.sorted) {
      while (next < fresh.length && compare(fresh[next].order, row.order) < 0) {
        merged.push(fresh[next++]);
      }
      merged.push(row);
    }
    merged.push(...fresh.slice(next));
    this.sorted = merged;
  }

  private sorted: IRow[] = [];
  private readonly byKey = new Map<string, IRow>();
}
