import type { TranslationBundle } from '@jupyterlab/translation';

import { button, make, named } from './dom';
import { formatBytes } from './model';
import { formatSeconds, formatShare } from './storage';
import { Folders, neighbour, squarified, tiles, type IBox, type ILarge, type IPart, type IPlace } from './treemap';

/** Below this a rectangle has no room for a name, in pixels. */
const NAME_WIDTH = 44;
const NAME_HEIGHT = 23;
const SIZE_HEIGHT = 38;
const MOST_ROWS = 200;

/** What is in a folder, as rectangles and as a table; a folder is gone into by a click, or Enter. */
export class HomeMap {
  readonly node = make('div', 'cubehub-home-map');

  /** @param keep Keeps the folder that is looked at. */
  constructor(
    private readonly trans: TranslationBundle,
    private readonly keep: (path: string, at: HTMLButtonElement) => void
  ) {
    this.area.setAttribute('role', 'group');
    this.area.addEventListener('keydown', event => this.onKey(event));
    this.way.setAttribute('aria-label', trans.__('Where you are'));
    this.keepButton = button(trans.__('Keep this folder 90 days'), () => this.keep(this.path, this.keepButton));
    const table = make('table', 'cubehub-home-table');
    const head = make('tr');
    for (const [title, number] of [
      [trans.__('Name'), false],
      [trans.__('Size'), true],
      [trans.__('Share'), true],
      [trans.__('Newest file'), true]
    ] as const) {
      const cell = make('th', number ? 'cubehub-home-number' : '', title);
      cell.scope = 'col';
      head.append(cell);
    }
    this.caption = make('caption', 'cubehub-visually-hidden');
    table.append(this.caption, make('thead', '', head), this.rows);
    this.more.hidden = true;
    this.node.append(this.way, this.area, make('div', 'cubehub-home-scroll', table), this.more, this.keepButton);
    new ResizeObserver(() => this.place()).observe(this.area);
  }

  /** Show other folders; where one is looked at it stays, if it is still there. */
  tell(places: readonly IPlace[], large: readonly ILarge[], keeps: boolean): void {
    this.folders = new Folders(places, large);
    this.keeps = keeps;
    this.show(this.folders.has(this.path) ? this.path : '');
  }

  private show(path: string, focus?: 'first' | string): void {
    this.path = path;
    const parts = this.folders.parts(path);
    const name = path || this.trans.__('Your home');
    this.writeWay();
    this.shown = tiles(parts);
    this.buttons = this.shown.map((part, place) => this.tile(part, place));
    this.area.setAttribute('aria-label', this.trans.__('What is in %1, by size. Arrow keys move, Enter opens, Backspace goes up.', name));
    this.area.replaceChildren(...this.buttons);
    if (!this.buttons.length) {
      this.area.append(make('p', 'cubehub-home-nothing', this.trans.__('There are no files here.')));
    }
    this.caption.textContent = this.trans.__('What is in %1, by size', name);
    this.rows.replaceChildren(...parts.slice(0, MOST_ROWS).map(part => this.row(part)));
    this.more.hidden = parts.length <= MOST_ROWS;
    this.more.textContent = this.trans.__('And %1 smaller ones.', String(parts.length - MOST_ROWS));
    this.keepButton.hidden = !this.keeps || path === '';
    this.place();
    const at = focus === 'first' || focus === undefined ? 0 : this.shown.findIndex(part => part.path === focus);
    this.rove(Math.max(0, at), focus !== undefined);
  }

  private writeWay(): void {
    const list = make('ol', 'cubehub-home-way');
    for (const step of this.folders.way(this.path)) {
      const name = step.path === '' ? this.trans.__('Home') : step.name;
      const item = make('li');
      if (step.path === this.path) {
        item.append(named(name));
        item.setAttribute('aria-current', 'page');
      } else {
        const link = button('', () => this.show(step.path, 'first'), 'cubehub-home-link');
        link.append(named(name));
        item.append(link);
      }
      list.append(item);
    }
    list.lastElementChild?.append(` (${formatBytes(this.folders.bytes(this.path))})`);
    this.way.replaceChildren(list);
  }

  private tile(part: IPart, place: number): HTMLButtonElement {
    const node = button('', () => this.open(part), 'cubehub-home-tile');
    const name = this.nameOf(part);
    const size = formatBytes(part.bytes);
    node.dataset.kind = part.kind;
    node.style.setProperty('--cubehub-share', `${Math.round(8 + part.share * 30)}%`);
    node.tabIndex = -1;
    node.title = `${name}\n${size}, ${formatShare(part.share)}`;
    const kind = part.kind === 'folder' ? this.trans.__('folder') : part.kind === 'file' ? this.trans.__('file') : '';
    node.setAttribute('aria-label', [name, kind, size, formatShare(part.share)].filter(Boolean).join(', '));
    if (part.kind !== 'folder') {
      node.setAttribute('aria-disabled', 'true');
    }
    node.append(named(name), make('span', 'cubehub-home-size', size));
    node.addEventListener('focus', () => this.rove(place, false));
    return node;
  }

  private row(part: IPart): HTMLTableRowElement {
    const name = make('th', `cubehub-home-cell cubehub-home-${part.kind}`);
    name.scope = 'row';
    if (part.kind === 'folder') {
      const link = button('', () => this.open(part), 'cubehub-home-link');
      link.append(named(`${part.name}/`));
      name.append(link);
    } else {
      name.append(named(this.nameOf(part)));
    }
    const numbers = [formatBytes(part.bytes), formatShare(part.share), formatSeconds(part.newest)];
    return make('tr', '', name, ...numbers.map(text => make('td', 'cubehub-home-number', text)));
  }

  private nameOf(part: IPart): string {
    switch (part.kind) {
      case 'files':
        return part.path === '' && this.shown.length === 1 ? this.trans.__('files') : this.trans.__('other files here');
      case 'rest':
        return this.trans.__('%1 smaller', part.name);
      default:
        return part.name;
    }
  }

  private open(part: IPart): void {
    if (part.kind === 'folder') {
      this.show(part.path, 'first');
    }
  }

  /** Put the rectangles where they belong in the room there is. */
  private place(): void {
    const { clientWidth: width, clientHeight: height } = this.area;
    this.boxes = squarified(this.shown.map(part => part.bytes), width, height);
    this.buttons.forEach((node, place) => {
      const box = this.boxes[place];
      Object.assign(node.style, {
        left: `${box.x}px`,
        top: `${box.y}px`,
        width: `${box.width}px`,
        height: `${box.height}px`
      });
      const room = box.width < NAME_WIDTH || box.height < NAME_HEIGHT ? 'none' : box.height < SIZE_HEIGHT ? 'name' : 'all';
      node.dataset.room = room;
    });
  }

  private onKey(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const place = this.buttons.indexOf(document.activeElement as HTMLButtonElement);
    const ends: Record<string, number> = { Home: 0, End: this.buttons.length - 1 };
    const next = ends[event.key] ?? neighbour(this.boxes, place, event.key);
    if (next !== null && this.buttons[next]) {
      this.rove(next, true);
    } else if (event.key === 'Backspace' && this.path !== '') {
      this.show(this.folders.above(this.path), this.path);
    } else if (!event.key.startsWith('Arrow')) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Of all rectangles one is on the way of the Tab key; arrows lead to the others. */
  private rove(place: number, focus: boolean): void {
    this.buttons.forEach((node, at) => (node.tabIndex = at === place ? 0 : -1));
    if (focus) {
      this.buttons[place]?.focus();
    }
  }

  private folders = new Folders([]);
  private path = '';
  private keeps = false;
  private shown: IPart[] = [];
  private buttons: HTMLButtonElement[] = [];
  private boxes: IBox[] = [];
  private readonly way = make('nav');
  private readonly area = make('div', 'cubehub-home-area');
  private readonly rows = make('tbody');
  private readonly caption: HTMLTableCaptionElement;
  private readonly more = make('p');
  private readonly keepButton: HTMLButtonElement;
}
