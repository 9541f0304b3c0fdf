import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes } from './bytes.js';
import type { IRow } from './contract.js';
import { make, named } from './dom.js';
import type { CatalogueModel } from './model.js';
import { span } from './times.js';

const HEIGHT = 68;
/** Rows beyond each edge that are there already. */
const AROUND = 6;

interface IActions {
  details: (row: IRow) => void;
  near: () => void;
}

/** The found items, of which only those in sight are in the page: ten thousand scroll as fifty do. */
export class ResultList {
  readonly node = make('div', 'cubehub-cat-list');

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    private readonly actions: IActions
  ) {
    this.node.tabIndex = 0;
    this.node.setAttribute('role', 'listbox');
    this.node.setAttribute('aria-multiselectable', 'true');
    this.node.setAttribute('aria-label', trans.__('Found items. Arrow keys move, Space picks, Enter shows details.'));
    this.node.append(this.tall);
    this.node.addEventListener('scroll', () => {
      if (this.node.scrollTop > this.top) {
        model.halted = false; // whoever scrolls on wants to see more
      }
      this.top = this.node.scrollTop;
      this.later();
    });
    this.node.addEventListener('keydown', event => this.key(event));
    this.node.addEventListener('focus', () => {
      if (!model.active && model.results.rows.length) {
        model.activate(model.results.rows[0].key);
      }
    });
    this.tall.setAttribute('role', 'presentation');
  }

  /** Draw what is in sight, at the next frame. */
  later(): void {
    if (!this.waiting) {
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        this.draw();
      });
    }
  }

  /** Bring a row into sight. */
  reveal(key: string): void {
    const at = this.model.results.position(key);
    if (at < 0) {
      return;
    }
    const [top, height] = [this.node.scrollTop, this.node.clientHeight];
    if (at * HEIGHT < top) {
      this.node.scrollTop = at * HEIGHT;
    } else if ((at + 1) * HEIGHT > top + height) {
      this.node.scrollTop = (at + 1) * HEIGHT - height;
    }
    this.later();
  }

  dispose(): void {
    cancelAnimationFrame(this.waiting);
    this.shown.clear();
  }

  private draw(): void {
    const rows = this.model.results.rows;
    this.tall.style.blockSize = `${rows.length * HEIGHT}px`;
    const height = this.node.clientHeight || 6 * HEIGHT;
    const first = Math.max(0, Math.floor(this.node.scrollTop / HEIGHT) - AROUND);
    const last = Math.min(rows.length, Math.ceil((this.node.scrollTop + height) / HEIGHT) + AROUND);
    const wanted = new Map<string, number>();
    for (let at = first; at < last; at++) {
      wanted.set(rows[at].key, at);
    }
    const active = this.model.active;
    if (active && !wanted.has(active)) {
      const at = this.model.results.position(active); // what has the focus must be in the page
      if (at >= 0) {
        wanted.set(active, at);
      }
    }
    for (const [key, { node }] of this.shown) {
      if (!wanted.has(key)) {
        node.remove();
        this.shown.delete(key);
      }
    }
    for (const [key, at] of wanted) {
      const row = rows[at];
      let there = this.shown.get(key);
      if (there?.row !== row) {
        const node = this.option(row);
        there?.node.remove();
        there = { row, node };
        this.shown.set(key, there);
        this.tall.append(node);
      }
      there.node.style.transform = `translateY(${at * HEIGHT}px)`;
      there.node.setAttribute('aria-posinset', String(at + 1));
      there.node.setAttribute('aria-setsize', this.model.results.more ? '-1' : String(rows.length));
      const picked = this.model.selected.has(key);
      there.node.setAttribute('aria-selected', String(picked));
      there.node.classList.toggle('cubehub-mod-active', key === active);
    }
    if (active && wanted.has(active)) {
      this.node.setAttribute('aria-activedescendant', this.shown.get(active)!.node.id);
    } else {
      this.node.removeAttribute('aria-activedescendant');
    }
    if (rows.length && last >= rows.length) {
      this.actions.near();
    }
  }

  private option(row: IRow): HTMLElement {
    const picture = make('span', `cubehub-cat-picture${row.picture ? '' : ' cubehub-mod-none'}`);
    const search = this.model.results.search;
    if (row.picture && search) {
      const image = make('img');
      image.alt = '';
      image.loading = 'lazy';
      image.decoding = 'async';
      image.addEventListener('error', () => {
        image.remove();
        picture.classList.add('cubehub-mod-none');
      });
      image.src = this.model.requests.picture(search, row.key, 'thumbnail');
      picture.append(image);
    }
    const clouds = row.cloud_cover === null ? '' : this.trans.__('%1 % clouds', Math.round(row.cloud_cover));
    const rest = [row.platform ?? '', row.bytes ? formatBytes(row.bytes) : ''].filter(Boolean).join(' · ');
    const when = span(row.start, row.end);
    const [day, minute] = when.includes(' – ') ? [when, ''] : [when.slice(0, 10), when.slice(10)];
    const facts = [when, clouds, rest];
    const from = [row.catalogue, ...row.copies.map(copy => copy.catalogue)];
    const titles = [...new Set(from)].map(id => this.model.titleOf(id)).join(', ');
    const box = make('span', 'cubehub-cat-box');
    box.setAttribute('aria-hidden', 'true');
    box.title = this.trans.__('Pick');
    box.addEventListener('click', event => {
      event.stopPropagation();
      this.model.activate(row.key);
      this.model.pick(row.key);
    });
    const node = make(
      'div',
      'cubehub-cat-row',
      box,
      picture,
      make(
        'span',
        'cubehub-cat-words',
        named(row.title, 'cubehub-cat-title'),
        // in a narrow panel the time goes and the rest has a line of its own: what decides is never cut off
        make('span', 'cubehub-cat-facts', day, make('span', 'cubehub-cat-minute', minute), clouds && day ? ` · ${clouds}` : clouds),
        ...(rest ? [make('span', 'cubehub-cat-facts cubehub-cat-rest', named(rest))] : []),
        make('span', 'cubehub-cat-facts cubehub-cat-from', named([titles, row.collection_title ?? row.collection ?? ''].filter(Boolean).join(' · ')))
      )
    );
    node.id = `cubehub-cat-row-${++made}`;
    node.setAttribute('role', 'option');
    // what a narrow panel cuts off
    node.title = [row.id, facts.filter(Boolean).join(' · '), [titles, row.collection_title ?? row.collection ?? ''].filter(Boolean).join(' · ')].join('\n');
    node.addEventListener('click', event => {
      this.model.activate(row.key);
      if (event.ctrlKey || event.metaKey) {
        this.model.pick(row.key);
      } else if (event.shiftKey && this.anchor) {
        this.pickTo(row.key);
      }
      this.anchor = row.key;
    });
    node.addEventListener('dblclick', () => this.actions.details(row));
    return node;
  }

  private pickTo(key: string): void {
    const [from, to] = [this.model.results.position(this.anchor!), this.model.results.position(key)];
    this.model.pickAll(this.model.results.rows.slice(Math.max(0, Math.min(from, to)), Math.max(from, to) + 1));
  }

  private key(event: KeyboardEvent): void {
    const { rows } = this.model.results;
    if (!rows.length || event.altKey || event.metaKey || (event.ctrlKey && event.key !== 'a')) {
      return;
    }
    const at = this.model.active ? this.model.results.position(this.model.active) : -1;
    const page = Math.max(1, Math.floor(this.node.clientHeight / HEIGHT) - 1);
    const moves: Record<string, number> = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: rows.length - 1
    };
    if (event.key in moves) {
      const row = rows[Math.max(0, Math.min(rows.length - 1, moves[event.key]))];
      this.model.activate(row.key);
      if (event.shiftKey) {
        this.model.pick(row.key, true);
      }
      this.anchor = row.key;
      this.reveal(row.key);
    } else if (event.key === ' ' && at >= 0) {
      this.model.pick(rows[at].key);
    } else if (event.key === 'Enter' && at >= 0) {
      this.actions.details(rows[at]);
    } else if (event.key === 'a' && event.ctrlKey) {
      this.model.pickAll(rows);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private readonly tall = make('div', 'cubehub-cat-tall');
  private readonly shown = new Map<string, { row: IRow; node: HTMLElement }>();
  private anchor: string | null = null;
  private waiting = 0;
  private top = 0;
}

let made = 0;
