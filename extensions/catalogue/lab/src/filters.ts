/** From queryables to fields of a form, and from what is typed there to CQL2-JSON. No DOM here. */
import type { IProperty, IQueryables } from './contract.js';

export type Kind = 'number' | 'text' | 'choice' | 'boolean';

export interface IField {
  name: string;
  title: string;
  kind: Kind;
  description: string;
  unit: string;
  choices: (string | number | boolean)[];
  minimum: number | null;
  maximum: number | null;
}

/** What was typed for a field: bounds of a number, or a text, choice or truth. */
export interface ISet {
  least?: number;
  most?: number;
  is?: string | number | boolean;
}

const CLOUDS = 'eo:cloud_cover';
/** The form has fields of their own for these. */
const ELSEWHERE = new Set([
  'id', 'collection', 'geometry', 'datetime', 'start_datetime', 'end_datetime', 'bbox', 'created', 'updated'
]);
const FIRST = [CLOUDS, 'platform', 'instruments', 'sat:orbit_state', 'sat:relative_orbit', 'gsd', 'view:sun_elevation'];

export function fieldsOf(queryables: IQueryables): IField[] {
  const fields = Object.entries(queryables.properties ?? {}).flatMap(([name, property]) => {
    const field = ELSEWHERE.has(name.replace(/^properties\./, '')) ? null : fieldOf(name, property ?? {});
    return field ? [field] : [];
  });
  const rank = (field: IField): number => {
    const at = FIRST.indexOf(field.name.replace(/^properties\./, ''));
    return at < 0 ? FIRST.length : at;
  };
  return fields.sort((a, b) => rank(a) - rank(b) || a.title.localeCompare(b.title));
}

function fieldOf(name: string, property: IProperty): IField | null {
  const types = Array.isArray(property.type) ? property.type : [property.type ?? ''];
  const choices = Array.isArray(property.enum) ? property.enum.filter(one => ['string', 'number', 'boolean'].includes(typeof one)) : [];
  let kind: Kind | null = null;
  if (choices.length) {
    kind = 'choice';
  } else if (types.includes('number') || types.includes('integer')) {
    kind = 'number';
  } else if (types.includes('boolean')) {
    kind = 'boolean';
  } else if (types.includes('string') || (types.length === 1 && types[0] === '')) {
    kind = 'text';
  }
  if (kind === null) {
    return null; // lists and objects can't be asked for by one field
  }
  const clouds = name.replace(/^properties\./, '') === CLOUDS;
  const number = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null);
  return {
    name,
    title: typeof property.title === 'string' && property.title ? property.title : name,
    kind: clouds ? 'number' : kind,
    description: typeof property.description === 'string' ? property.description : '',
    unit: typeof property.unit === 'string' ? property.unit : clouds ? '%' : '',
    choices,
    minimum: number(property.minimum) ?? (clouds ? 0 : null),
    maximum: number(property.maximum) ?? (clouds ? 100 : null)
  };
}

/** One line of what is set. */
export interface IFilterRow {
  property: string;
  op: '>=' | '<=' | '=';
  value: string | number | boolean;
}

/** All that is set, line by line. */
export function rowsOf(set: Readonly<Record<string, ISet>>): IFilterRow[] {
  return Object.entries(set).flatMap(([property, { least, most, is }]) => {
    const rows: [IFilterRow['op'], IFilterRow['value'] | undefined][] = [['>=', least], ['<=', most], ['=', is === '' ? undefined : is]];
    return rows.flatMap(([op, value]) => (value === undefined ? [] : [{ property, op, value }]));
  });
}

/** CQL2-JSON of all that is set; null where nothing is. */
export function filterOf(set: Readonly<Record<string, ISet>>): object | null {
  const terms: object[] = rowsOf(set).map(({ property, op, value }) => ({ op, args: [{ property }, value] }));
  return terms.length > 1 ? { op: 'and', args: terms } : (terms[0] ?? null);
}
