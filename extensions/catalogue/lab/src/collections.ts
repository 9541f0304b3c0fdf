/** What catalogues say of their collections, of which none keeps to the rules by itself. No DOM here. */
import type { ICollection } from './contract.js';

/** Collections as the panel reads them: what is of another kind than it should be is left out, and nothing else with it. */
export function collectionsIn(answer: unknown): ICollection[] {
  return (Array.isArray(answer) ? answer : []).flatMap((one: unknown) => {
    const said = fieldsOf(one);
    return typeof said.id === 'string' && said.id ? [collectionOf(said, said.id)] : [];
  });
}

/** From when to when it has items, as far as it says so. */
export function extentOf({ extent }: ICollection): string {
  const [start, end] = extent?.temporal?.interval?.[0] ?? [];
  return start || end ? `${start?.slice(0, 10) ?? '…'} – ${end?.slice(0, 10) ?? '…'}` : '';
}

/** What a text is looked for in. */
export function wordsOf({ id, title, description, keywords }: ICollection): string {
  return [id, title, description, ...(keywords ?? [])].join(' ').toLowerCase();
}

function collectionOf(said: Record<string, unknown>, id: string): ICollection {
  const text = (name: string): string | undefined => (typeof said[name] === 'string' ? said[name] : undefined);
  const keywords = Array.isArray(said.keywords) ? said.keywords.filter(one => typeof one === 'string') : [];
  const intervals = fieldsOf(fieldsOf(said.extent).temporal).interval;
  const interval: unknown[] = Array.isArray(intervals) ? intervals.filter(Array.isArray).slice(0, 1) : [];
  const edges = (interval[0] ?? []) as unknown[];
  return {
    id,
    title: text('title'),
    description: text('description'),
    license: text('license'),
    keywords,
    extent: { temporal: { interval: [[edges[0], edges[1]].map(edge => (typeof edge === 'string' ? edge : null))] } }
  };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
}
