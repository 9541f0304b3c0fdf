/** Days and times in UTC, as a person types them: 2024, 2024-05, 2024-05-03, 2024-05-03T10:15. */

const TYPED = /^(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2}))?)?)?)?Z?$/;

/** The first or the last second of what was typed, as RFC 3339; null for nothing.
 *
 * @throws RangeError for what is no time.
 */
export function moment(text: string, edge: 'start' | 'end'): string | null {
  const typed = text.trim();
  if (!typed) {
    return null;
  }
  const found = TYPED.exec(typed);
  if (!found) {
    throw new RangeError(typed);
  }
  const [year, month, day, hour, minute, second] = found.slice(1).map(one => (one === undefined ? null : Number(one)));
  const at = new Date(Date.UTC(year!, (month ?? 1) - 1, day ?? 1, hour ?? 0, minute ?? 0, second ?? 0));
  at.setUTCFullYear(year!, (month ?? 1) - 1, day ?? 1);
  const right =
    at.getUTCMonth() === (month ?? 1) - 1 &&
    at.getUTCDate() === (day ?? 1) &&
    at.getUTCHours() === (hour ?? 0) &&
    at.getUTCMinutes() === (minute ?? 0) &&
    (second ?? 0) < 60;
  if (!right) {
    throw new RangeError(typed);
  }
  if (edge === 'end' && second === null) {
    if (month === null) {
      at.setUTCFullYear(year! + 1);
    } else if (day === null) {
      at.setUTCMonth(month);
    } else if (hour === null) {
      at.setUTCDate(day + 1);
    } else {
      at.setUTCMinutes(minute! + 1);
    }
    at.setUTCSeconds(-1);
  }
  return at.toISOString().replace('.000', '');
}

/** A time as rows show it: day and minute, UTC. */
export function shown(text: string | null): string {
  return text ? text.slice(0, 16).replace('T', ' ') : '';
}

/** From when to when an item is, as rows show it: of one day its minute, of several their days. */
export function span(start: string | null, end: string | null): string {
  const [first, last] = [start?.slice(0, 10), end?.slice(0, 10)];
  return first && last && first !== last ? `${first} – ${last}` : shown(start ?? end);
}
