/** What a person has set in the form, and the query that it is. No DOM here. */
import type { Aoi, IQuery } from './contract.js';
import { filterOf, type ISet } from './filters.js';
import { moment } from './times.js';

export interface IForm {
  /** Ids; none is all. */
  catalogues: string[];
  /** By catalogue; none is its default ones. */
  collections: Record<string, string[]>;
  aoi: Aoi | null;
  start: string;
  end: string;
  set: Record<string, ISet>;
  /** A filter that the fields can't say, as CQL2-JSON. */
  raw: object | null;
  text: string;
  sort: string;
  descending: boolean;
}

export const EMPTY: Readonly<IForm> = Object.freeze({
  catalogues: [], collections: {}, aoi: null, start: '', end: '', set: {}, raw: null, text: '',
  sort: 'properties.datetime', descending: true
});

/** Items of a page and catalogue, where nobody set another number. */
export const PAGE = 50;

/** @throws RangeError naming the time that is none, or that the end is before the start. */
export function queryOf(form: IForm, chosen: readonly string[], limit = PAGE): IQuery {
  const [start, end] = [moment(form.start, 'start'), moment(form.end, 'end')];
  if (start && end && end < start) {
    throw new RangeError(`${form.start} – ${form.end}`);
  }
  const filters = [filterOf(form.set), form.raw].filter(one => one !== null);
  const collections = Object.fromEntries(
    Object.entries(form.collections).filter(([id, ids]) => ids.length && chosen.includes(id))
  );
  return {
    collections,
    aoi: form.aoi,
    start,
    end,
    filter: filters.length > 1 ? { op: 'and', args: filters } : (filters[0] ?? null),
    text: form.text.trim() || null,
    ids: [],
    sort: [{ field: form.sort, descending: form.descending }],
    limit
  };
}

interface ITerm {
  op?: unknown;
  args?: unknown;
}

/** The form that gives this query: what a saved search or a link brings back. */
export function formOf(query: Partial<IQuery>, catalogues: readonly string[]): IForm {
  const [set, raw] = setOf(query.filter ?? null);
  const sort = query.sort?.[0];
  return {
    ...EMPTY,
    catalogues: [...catalogues],
    collections: { ...query.collections },
    aoi: query.aoi ?? null,
    start: plain(query.start ?? '', 'T00:00:00Z'),
    end: plain(query.end ?? '', 'T23:59:59Z'),
    set,
    raw,
    text: query.text ?? '',
    sort: sort?.field ?? EMPTY.sort,
    descending: sort?.descending ?? true
  };
}

function plain(time: string, edge: string): string {
  return time.endsWith(edge) ? time.slice(0, -edge.length) : time;
}

function setOf(filter: object | null): [Record<string, ISet>, object | null] {
  if (!filter) {
    return [{}, null];
  }
  const term = filter as ITerm;
  const terms = term.op === 'and' && Array.isArray(term.args) ? (term.args as object[]) : [filter];
  const set: Record<string, ISet> = {};
  const rest: object[] = [];
  for (const one of terms) {
    const { op, args } = (one ?? {}) as ITerm;
    const [left, value] = Array.isArray(args) ? (args as [{ property?: unknown }, unknown]) : [null, null];
    const name = left && typeof left === 'object' && typeof left.property === 'string' ? left.property : null;
    const key = op === '>=' ? 'least' : op === '<=' ? 'most' : op === '=' ? 'is' : null;
    const fits = key === 'is' ? ['string', 'number', 'boolean'].includes(typeof value) : typeof value === 'number';
    if (name !== null && key && fits && set[name]?.[key] === undefined) {
      set[name] = { ...set[name], [key]: value };
    } else {
      rest.push(one);
    }
  }
  return [set, rest.length > 1 ? { op: 'and', args: rest } : (rest[0] ?? null)];
}

/** Read back what a page before has kept; whatever is not as it should be is left out. */
export function formFrom(kept: unknown): IForm {
  const form: IForm = { ...EMPTY };
  if (!kept || typeof kept !== 'object') {
    return form;
  }
  const said = kept as Record<string, unknown>;
  const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter(one => typeof one === 'string') : []);
  form.catalogues = texts(said.catalogues);
  if (said.collections && typeof said.collections === 'object') {
    form.collections = Object.fromEntries(Object.entries(said.collections).map(([id, ids]) => [id, texts(ids)]));
  }
  for (const name of ['start', 'end', 'text', 'sort'] as const) {
    if (typeof said[name] === 'string') {
      form[name] = said[name];
    }
  }
  if (typeof said.descending === 'boolean') {
    form.descending = said.descending;
  }
  const aoi = said.aoi as { type?: unknown; coordinates?: unknown } | null;
  if (aoi && (aoi.type === 'Polygon' || aoi.type === 'MultiPolygon') && Array.isArray(aoi.coordinates)) {
    form.aoi = aoi as Aoi;
  }
  if (said.set && typeof said.set === 'object') {
    form.set = Object.fromEntries(
      Object.entries(said.set).filter(([, one]) => one !== null && typeof one === 'object')
    ) as Record<string, ISet>;
  }
  if (said.raw && typeof said.raw === 'object') {
    form.raw = said.raw;
  }
  return form;
}

/** A search as a link carries it: in the fragment, which no server is told. */
export function linkOf(page: string, query: IQuery, catalogues: readonly string[]): string {
  const url = new URL(page);
  url.search = '';
  url.hash = `cubehub-search=${encodeURIComponent(JSON.stringify({ query, catalogues }))}`;
  return url.href;
}

/** The search in a page's address; null where there is none, or none that can be read. */
export function searchIn(hash: string): { query: Partial<IQuery>; catalogues: string[] } | null {
  const found = /cubehub-search=([^&]*)/.exec(hash);
  if (!found) {
    return null;
  }
  try {
    return searchFrom(JSON.parse(decodeURIComponent(found[1])));
  } catch {
    return null;
  }
}

/** @returns null for what is no search. */
export function searchFrom(value: unknown): { query: Partial<IQuery>; catalogues: string[] } | null {
  const said = value as { query?: unknown; catalogues?: unknown } | null;
  if (!said || typeof said !== 'object' || !said.query || typeof said.query !== 'object') {
    return null;
  }
  const catalogues = Array.isArray(said.catalogues) ? said.catalogues.filter(one => typeof one === 'string') : [];
  return { query: said.query as Partial<IQuery>, catalogues };
}
