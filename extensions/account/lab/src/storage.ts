// What is told about a home and what was moved out of it, worked out without a page.

import { FULL, formatBytes, formatMoment, HIGH, type Level } from './model.js';
import type { ILarge, IPlace } from './treemap.js';

/** What went wrong, as everywhere in CubeHub. */
export interface ITrouble {
  code: string;
  message: string;
  hint: string;
}

/** What is going to be cleaned up, as a notice named it. */
export interface INoticed {
  path: string;
  kind: string;
  reason: string;
  bytes: number;
  when: string;
  notice: 1 | 2;
}

/** What was moved out of the home. */
export interface IAway {
  number: number;
  path: string;
  kind: string;
  bytes: number;
  state: 'quarantined' | 'archived' | 'purged';
  since: string;
  until: string | null;
  archived: boolean;
}

/** What is not cleaned up, whatever the rules say. */
export interface IKept {
  path: string;
  until: string | null;
  by: 'you' | 'admin' | 'file';
}

export interface ICache {
  kind: string;
  bytes: number;
  about: string;
}

export interface IScan {
  ended: string;
  bytes: number;
  files: number;
  places: IPlace[];
  caches: ICache[];
  large: ILarge[];
}

/** What the platform's storage service tells; the server has checked its form. */
export interface IService {
  home: string;
  limit_bytes: number | null;
  scan: IScan | null;
  noticed: INoticed[];
  away: IAway[];
  kept: IKept[];
  /** How many there are beyond what is told, of each list. */
  left_out: Record<'noticed' | 'away' | 'kept', number>;
}

/** What the person's own server counted. */
export interface ILocal {
  counted: string;
  bytes: number;
  complete: boolean;
  places: IPlace[];
}

export interface IStorage {
  local: ILocal | null;
  service: IService | null;
  trouble: ITrouble | null;
}

export interface IEntry {
  path: string;
  bytes: number;
  folder: boolean;
}

/** For so long a click keeps something. */
export const KEEP_DAYS = 90;

/** What the bar of the home shows. */
export interface IUse {
  text: string;
  share: number;
  level: Level;
}

/** Use against what the profile gives; the newer count is taken, and null where nobody has counted. */
export function useOf({ local, service }: IStorage, profileLimit: number | null): IUse | null {
  const used = local ?? service?.scan;
  if (!used) {
    return null;
  }
  const limit = service?.limit_bytes ?? profileLimit;
  const size = `${local && !local.complete ? 'more than ' : ''}${formatBytes(used.bytes)}`;
  if (!limit || limit <= 0) {
    return { text: `${size}, no limit known`, share: 0, level: 'unknown' };
  }
  const share = used.bytes / limit;
  const level: Level = share >= FULL ? 'full' : share >= HIGH ? 'high' : 'ok';
  const word = { full: ', almost full', high: ', filling up', ok: '', unknown: '' }[level];
  return {
    text: `${size} of ${formatBytes(limit)}, ${Math.floor(share * 100)} %${word}`,
    share: Math.min(1, share),
    level
  };
}

/** Which folders the map shows and how old that is: the platform's scan knows dates and large files, the own count is there without it. */
export function mapOf({ local, service }: IStorage): { places: IPlace[]; large: ILarge[]; about: string } | null {
  if (service?.scan) {
    const { places, large, ended } = service.scan;
    return { places, large, about: `As the platform found it on ${formatMoment(ended)}.` };
  }
  if (local) {
    const part = local.complete ? '' : ' There are too many files to count all.';
    return { places: local.places, large: [], about: `Counted by your server on ${formatMoment(local.counted)}.${part}` };
  }
  return null;
}

/** A path as people read it. */
export function describePath(path: string): string {
  return path === '' ? 'Your whole home' : path;
}

/** `34 %`, and never a whole nothing. */
export function formatShare(share: number): string {
  const percent = Math.round(share * 100);
  return percent < 1 && share > 0 ? '< 1 %' : `${percent} %`;
}

/** A day of an ISO date or moment: `27 Nov 2026`. */
export function formatDay(text: string): string {
  const found = /^(\d{2} \w{3} -?\d+) /.exec(formatMoment(text));
  return found ? found[1] : text;
}

/** A day of seconds since 1970; empty where there is none, or it is none that a calendar has. */
export function formatSeconds(seconds: number | null): string {
  const moment = new Date((seconds ?? NaN) * 1000);
  return Number.isNaN(moment.getTime()) ? '' : formatDay(moment.toISOString());
}

/** What is told of something that is going to be cleaned up. */
export function describeNoticed({ reason, bytes, when, notice }: INoticed): string {
  const last = notice === 2 ? ' This was the last notice.' : '';
  return `${formatBytes(bytes)}. Will be moved away from ${formatDay(when)} on: ${reason.replace(/\.+$/, '')}.${last}`;
}

/** What is told of something that was moved away, and whether it can come back. */
export function describeAway({ bytes, state, since, until, archived }: IAway): { text: string; restorable: boolean } {
  const restorable = state !== 'purged' || archived;
  if (!restorable) {
    return { text: `${formatBytes(bytes)}. Deleted on ${formatDay(since)}.`, restorable };
  }
  const where = { quarantined: 'Set aside', archived: 'Set aside, and in the archive', purged: 'In the archive' }[state];
  const end = until ? `kept until ${formatDay(until)}` : 'kept without an end';
  return { text: `${formatBytes(bytes)}. ${where} since ${formatDay(since)}, ${end}.`, restorable };
}

/** Why something is kept, and whether the person can end that here. */
export function describeKept({ until, by }: IKept): { text: string; own: boolean } {
  const end = until ? ` until ${formatDay(until)}` : '';
  const text = {
    you: `Kept by you${end}.`,
    admin: `Kept by an administrator${end}.`,
    file: `Kept${end} by the file .cubehub-keep in it. Delete that file to end it.`
  }[by];
  return { text, own: by === 'you' };
}

/** Entries whose path has what was typed, in whatever case. */
export function matching(entries: readonly IEntry[], typed: string, most = 200): IEntry[] {
  const wanted = typed.trim().toLowerCase();
  return entries.filter(entry => entry.path.toLowerCase().includes(wanted)).slice(0, most);
}

/** The service tells of no more than so many that are inside something. */
const MOST_ENTRIES = 1000;

/** How many can be chosen, and whether there are others. */
export function describeChoice(shown: number, all: number): string {
  const more = all >= MOST_ENTRIES ? ' There may be others in it; you can type a path.' : '';
  return `${shown} of ${all} shown.${more}`;
}

/** Why what was typed cannot come back, in words for the person; empty where nothing speaks against it. */
export function whyNot(typed: string, entries: IEntry[]): string {
  const path = innerPath(typed);
  if (typed.split('/').includes('..')) {
    return '“..” does not work here. Give a name as it stands in the list.';
  }
  if (!path) {
    return 'Type the name of a file or folder, or choose one from the list.';
  }
  const known = entries.length > 0 && entries.length < MOST_ENTRIES;
  if (known && !entries.some(entry => entry.path === path)) {
    return `There is no “${path}” in it. Look how it is written in the list, or choose it there.`;
  }
  return '';
}

/** What was typed as the service wants it: a path inside, without slashes around it; empty where it is none. */
export function innerPath(typed: string): string {
  const path = typed.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
  return path.split('/').includes('..') ? '' : path;
}
