// Which rectangles show what is in a folder, worked out without a page.
//
// The rectangles are those of M. Bruls, K. Huizing, J. J. van Wijk: Squarified Treemaps. Data Visualization 2000.

/** A folder with all that is below it; the home itself has an empty path. */
export interface IPlace {
  path: string;
  bytes: number;
  files: number;
  /** Seconds since 1970 of the newest file in it, where that is known. */
  newest?: number;
}

/** A file that is large enough to be shown by itself. */
export interface ILarge {
  path: string;
  bytes: number;
  newest: number;
}

/** One thing in a folder: a folder to go into, a large file, all other files there, or many small things together. */
export interface IPart {
  kind: 'folder' | 'file' | 'files' | 'rest';
  /** From the home on; of the last two kinds that of the folder they are in. */
  path: string;
  name: string;
  bytes: number;
  /** Of what the folder holds, 0 to 1. */
  share: number;
  newest: number | null;
}

export interface IBox {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** So many rectangles at most, and none smaller than this share: more could be neither read nor hit. */
const MOST_TILES = 30;
const LEAST_SHARE = 0.004;

/** The folders of a home, whether or not all between them are known. */
export class Folders {
  constructor(
    places: readonly IPlace[],
    private readonly large: readonly ILarge[] = []
  ) {
    for (const place of places) {
      this.places.set(place.path, place);
    }
    for (const place of places) {
      if (place.path !== '') {
        this.add(this.above(place.path), place);
      }
    }
  }

  has(path: string): boolean {
    return this.places.has(path);
  }

  bytes(path: string): number {
    return this.places.get(path)?.bytes ?? 0;
  }

  /** The nearest known folder above. */
  above(path: string): string {
    let rest = path;
    while (rest.includes('/')) {
      rest = rest.slice(0, rest.lastIndexOf('/'));
      if (this.places.has(rest)) {
        return rest;
      }
    }
    return '';
  }

  /** The way from the home to a folder: each known one, the home first. */
  way(path: string): { path: string; name: string }[] {
    const found: { path: string; name: string }[] = [];
    for (let at = path; at !== ''; at = this.above(at)) {
      found.unshift({ path: at, name: within(at, this.above(at)) });
    }
    return [{ path: '', name: '' }, ...found];
  }

  /** All that is in a folder, largest first. */
  parts(path: string): IPart[] {
    const all = this.bytes(path);
    const part = (kind: IPart['kind'], at: string, bytes: number, newest?: number): IPart => ({
      kind,
      path: at,
      name: within(at, path),
      bytes,
      share: all > 0 ? Math.min(1, bytes / all) : 0,
      newest: newest ?? null
    });
    const found = (this.inside.get(path) ?? []).map(one => part('folder', one.path, one.bytes, one.newest));
    for (const one of this.large) {
      if (this.above(one.path) === path && !this.places.has(one.path)) {
        found.push(part('file', one.path, one.bytes, one.newest));
      }
    }
    found.sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
    const others = all - found.reduce((sum, one) => sum + one.bytes, 0);
    if (others > 0) {
      found.push({ ...part('files', path, others), name: '' });
    }
    return found.sort((a, b) => b.bytes - a.bytes);
  }

  private add(path: string, place: IPlace): void {
    const known = this.inside.get(path);
    if (known) {
      known.push(place);
    } else {
      this.inside.set(path, [place]);
    }
  }

  private readonly places = new Map<string, IPlace>();
  private readonly inside = new Map<string, IPlace[]>();
}

/** What gets a rectangle, largest first. Things too small for one have one together, unless that too would be too small. */
export function tiles(parts: readonly IPart[]): IPart[] {
  const shown = parts.filter(one => one.bytes > 0 && one.share >= LEAST_SHARE).slice(0, MOST_TILES);
  const left = parts.filter(one => one.bytes > 0 && !shown.includes(one));
  const sum = (of: (one: IPart) => number): number => left.reduce((total, one) => total + of(one), 0);
  if (sum(one => one.share) < LEAST_SHARE) {
    return shown;
  }
  if (left.length === 1) {
    return [...shown, left[0]];
  }
  if (left.length > 1) {
    const newest = left.reduce<number | null>((last, { newest: at }) => (at === null || (last ?? at) > at ? last : at), null);
    const rest: IPart = { ...left[0], kind: 'rest', name: String(left.length), bytes: sum(one => one.bytes), share: sum(one => one.share), newest };
    return [...shown, rest].sort((a, b) => b.bytes - a.bytes);
  }
  return shown;
}

/** Fill a room with rectangles whose areas are in proportion to the sizes, as square as can be.
 *
 * @param sizes More than 0, largest first; the rectangles come in the same order.
 */
export function squarified(sizes: readonly number[], width: number, height: number): IBox[] {
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  if (!(whole > 0 && width > 0 && height > 0)) {
    return sizes.map(() => ({ x: 0, y: 0, width: 0, height: 0 }));
  }
  const areas = sizes.map(size => (size / whole) * width * height);
  const made: IBox[] = [];
  let room: IBox = { x: 0, y: 0, width, height };
  for (let begin = 0; begin < areas.length; ) {
    const side = Math.min(room.width, room.height);
    let end = begin + 1;
    let sum = areas[begin];
    while (end < areas.length) {
      const more = sum + areas[end];
      if (worst(areas[begin], areas[end], more, side) > worst(areas[begin], areas[end - 1], sum, side)) {
        break;
      }
      sum = more;
      end += 1;
    }
    room = layRow(areas.slice(begin, end), sum, room, made);
    begin = end;
  }
  return made;
}

/** How far from a square the least square of a row is: 1 or more. */
function worst(largest: number, smallest: number, sum: number, side: number): number {
  return Math.max((side * side * largest) / (sum * sum), (sum * sum) / (side * side * smallest));
}

/** Lay a row along the shorter side, and give the room that is left. */
function layRow(areas: number[], sum: number, room: IBox, made: IBox[]): IBox {
  const upright = room.width >= room.height;
  const depth = upright ? sum / room.height : sum / room.width;
  let at = upright ? room.y : room.x;
  for (const area of areas) {
    const length = depth > 0 ? area / depth : 0;
    made.push(
      upright
        ? { x: room.x, y: at, width: depth, height: length }
        : { x: at, y: room.y, width: length, height: depth }
    );
    at += length;
  }
  return upright
    ? { ...room, x: room.x + depth, width: Math.max(0, room.width - depth) }
    : { ...room, y: room.y + depth, height: Math.max(0, room.height - depth) };
}

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1]
};

/** The rectangle that an arrow key leads to, or null at the edge. */
export function neighbour(boxes: readonly IBox[], from: number, key: string): number | null {
  const arrow = ARROWS[key];
  if (!arrow || !boxes[from]) {
    return null;
  }
  const middle = (box: IBox): [number, number] => [box.x + box.width / 2, box.y + box.height / 2];
  const [x, y] = middle(boxes[from]);
  let [best, least]: [number | null, number] = [null, Infinity];
  boxes.forEach((box, place) => {
    const [toX, toY] = middle(box);
    const along = (toX - x) * arrow[0] + (toY - y) * arrow[1];
    const aside = Math.abs((toX - x) * arrow[1]) + Math.abs((toY - y) * arrow[0]);
    const far = along + 2 * aside; // straight on is nearer than across
    if (place !== from && along > 1e-6 && far < least) {
      [best, least] = [place, far];
    }
  });
  return best;
}

function within(path: string, folder: string): string {
  return folder === '' ? path : path.slice(folder.length + 1);
}
