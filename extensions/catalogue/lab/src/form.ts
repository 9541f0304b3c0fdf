/** What a person has set in the form, and the query that it is. No DOM here. */
import type { Aoi, IQuery, ISort } from './contract.js';
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

/** The form that gives this query: what a saved search or a link brings back; whatever is not as it should be is left out. */
export function formOf(query: Partial<IQuery>, catalogues: readonly string[]): IForm {
  const [set, raw] = setOf(isPlain(query.filter) ? query.filter : null);
  const sort: Partial<ISort> | null = Array.isArray(query.sort) && isPlain(query.sort[0]) ? query.sort[0] : null;
  return {
    ...EMPTY,
    catalogues: textsOf(catalogues),
    collections: collectionsOf(query.collections),
    aoi: outlineOf(query.aoi),
    start: plain(textOf(query.start), 'T00:00:00Z'),
    end: plain(textOf(query.end), 'T23:59:59Z'),
    set,
    raw,
    text: textOf(query.text),
    sort: textOf(sort?.field) || EMPTY.sort,
    descending: typeof sort?.descending === 'boolean' ? sort.descending : true
  };
}

/** Nested deeper no filter is, and a page could not write it down. */
const DEEPEST = 100;

/** The area; null for what is none that can be drawn and asked for. */
export function outlineOf(value: unknown): Aoi | null {
  const { type, coordinates } = (isPlain(value) ? value : {}) as { type?: unknown; coordinates?: unknown };
  const isCorner = (one: unknown): boolean =>
    Array.isArray(one) && one.length >= 2 && one.every(Number.isFinite) && Math.abs(one[0]) <= 720 && Math.abs(one[1]) <= 90;
  const isRing = (one: unknown): boolean => Array.isArray(one) && one.length >= 4 && one.every(isCorner);
  const isPart = (one: unknown): boolean => Array.isArray(one) && one.length > 0 && one.every(isRing);
  const parts: unknown = type === 'Polygon' ? [coordinates] : type === 'MultiPolygon' ? coordinates : null;
  return Array.isArray(parts) && parts.length && parts.every(isPart) ? (value as Aoi) : null;
}

/** An object that can be written down again. */
function isPlain(value: unknown): value is object {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && isFlat(value);
}

function isFlat(value: unknown, deepest = DEEPEST): boolean {
  return value === null || typeof value !== 'object' || (deepest > 0 && Object.values(value).every(one => isFlat(one, deepest - 1)));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(one => typeof one === 'string') : [];
}

function collectionsOf(value: unknown): Record<string, string[]> {
  return isPlain(value) ? Object.fromEntries(Object.entries(value).map(([id, ids]) => [id, textsOf(ids)])) : {};
}

/** Whether each part of a query is of its kind: one that lost a part would be another search. */
function isQuery(query: Record<string, unknown>): boolean {
  const { collections, aoi, filter, sort } = query;
  const isText = (one: unknown): boolean => typeof one === 'string';
  return (
    ['start', 'end', 'text'].every(name => isText(query[name] ?? '')) &&
    isPlain(collections ?? {}) &&
    Object.values(collections ?? {}).every(ids => Array.isArray(ids) && ids.every(isText)) &&
    (aoi ?? null) === outlineOf(aoi) &&
    isPlain(filter ?? {}) &&
    Array.isArray(sort ?? []) &&
    ((sort ?? []) as unknown[]).every(one => isPlain(one) && isText((one as Partial<ISort>).field))
  );
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
    if (name !== null && name !== '__proto__' && key && fits && set[name]?.[key] === undefined) {
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
  form.catalogues = textsOf(said.catalogues);
  form.collections = collectionsOf(said.collections);
  for (const name of ['start', 'end', 'text', 'sort'] as const) {
    if (typeof said[name] === 'string') {
      form[name] = said[name];
    }
  }
  if (typeof said.descending === 'boolean') {
    form.descending = said.descending;
  }
  form.aoi = outlineOf(said.aoi);
  if (isPlain(said.set)) {
    form.set = Object.fromEntries(Object.entries(said.set).filter(([, one]) => isSet(one)));
  }
  if (isPlain(said.raw)) {
    form.raw = said.raw;
  }
  return form;
}

function isSet(value: unknown): boolean {
  const { least, most, is } = (isPlain(value) ? value : { is: value }) as { least?: unknown; most?: unknown; is?: unknown };
  return [least, most].every(one => one === undefined || Number.isFinite(one)) && ['undefined', 'string', 'number', 'boolean'].includes(typeof is) && isPlain(value);
}

/** A search as a link carries it: in the fragment, which no server is told. */
export function linkOf(page: string, query: IQuery, catalogues: readonly string[]): string {
  const url = new URL(page);
  url.search = '';
  url.hash = `cubehub-search=${encodeURIComponent(JSON.stringify({ query, catalogues }))}`;
  return url.href;
}

/** Whether a page's address says that it carries a search. */
export function carriesSearch(hash: string): boolean {
  return /cubehub-search=/.test(hash);
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
  const { query, catalogues } = (isPlain(value) ? value : {}) as { query?: unknown; catalogues?: unknown };
  if (!isPlain(query) || !isQuery(query as Record<string, unknown>)) {
    return null;
  }
  return { query: query as Partial<IQuery>, catalogues: textsOf(catalogues) };
}
