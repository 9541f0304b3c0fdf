import type { TranslationBundle } from '@jupyterlab/translation';

import { extentOf, wordsOf } from './collections.js';
import type { ICollection } from './contract.js';
import { button, checkbox, fold, input, labelled, make, named, select, told, toTop } from './dom.js';
import type { CatalogueModel } from './model.js';
import { troubleOf } from './trouble.js';

/** More than a person reads; the text finds the others. */
const MOST = 60;

/** Licences of collections that name none: a link says it, or each item. */
const SAYS_NOTHING = new Set(['', 'other', 'various', 'proprietary']);

/** Which catalogues are asked, and which collections of them. */
export class Choices {
  readonly catalogues: HTMLDetailsElement;
  readonly collections: HTMLDetailsElement;

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle
  ) {
    const catalogues = fold(trans.__('Catalogues'), false, this.none, this.list, this.own);
    this.catalogues = catalogues.node;
    this.sayCatalogues = catalogues.say;
    this.text.setAttribute('type', 'search');
    this.text.addEventListener('input', () => this.writeCollections());
    const collections = fold(trans.__('Collections'), false, labelled(trans.__('Find a collection'), this.text), this.state, this.found);
    this.collections = collections.node;
    this.sayCollections = collections.say;
    this.state.setAttribute('role', 'status');
    this.lost.setAttribute('role', 'alert');
    this.collections.addEventListener('toggle', () => void this.loadCollections());
  }

  /** Draw what is set; the lists are asked for when somebody opens them. */
  write(): void {
    const { model, trans } = this;
    const all = model.known.catalogues;
    const chosen = model.chosen;
    this.list.replaceChildren(
      ...all.map(one => {
        const box = checkbox(one.title, chosen.includes(one.id), checked => this.choose(one.id, checked));
        const item = make('li', one.own ? 'cubehub-cat-line' : '', box);
        if (one.sign_in) {
          box.append(make('span', 'cubehub-cat-facts', trans.__('wants a log-in')));
        }
        if (one.own) {
          const away = button(trans.__('Remove'), () => void this.remove(one.id), 'cubehub-mod-small');
          away.setAttribute('aria-label', trans.__('Remove %1', one.title));
          item.append(away);
        }
        return item;
      })
    );
    this.list.hidden = all.length === 0;
    const none = model.loaded && all.length === 0;
    this.none.textContent = !none
      ? ''
      : model.known.user_catalogues
        ? trans.__('No catalogue is set up here yet. Add one: its title, its address, and what kind it is.')
        : trans.__('No catalogue is set up here. Whoever runs this server names them in catalogues.yaml.');
    this.none.hidden = !none;
    this.sayCatalogues(
      none ? trans.__('none yet') : chosen.length === all.length && all.length > 1
        ? trans.__('all %1', all.length)
        : chosen.length === 1 ? model.titleOf(chosen[0]) : trans.__('%1 of %2', chosen.length, all.length)
    );
    const count = chosen.reduce((sum, id) => sum + (model.form.collections[id]?.length ?? 0), 0);
    this.sayCollections(count ? trans._n('%1 chosen', '%1 chosen', count) : trans.__('all that are offered'));
    this.writeOwn();
    if (none && !this.toldNone) {
      this.toldNone = this.catalogues.open = true;
      if (this.adding) {
        this.adding.open = true;
      }
    }
    if (this.collections.open) {
      void this.loadCollections();
    }
  }

  /** Show how one is added, where a search has nobody to ask. */
  ask(): void {
    this.catalogues.open = true;
    if (this.adding) {
      this.adding.open = true;
    }
    (this.adding?.querySelector('input') ?? this.catalogues.querySelector('summary'))?.focus({ preventScroll: true });
    toTop(this.catalogues); // with what the field is for
  }

  private choose(id: string, checked: boolean): void {
    const { model } = this;
    const before = model.chosen;
    const after = checked ? [...before, id] : before.filter(one => one !== id);
    // none and all are the same: somebody must be asked
    model.set({ catalogues: after.length === model.known.catalogues.length ? [] : after });
  }

  private writeOwn(): void {
    const { model, trans } = this;
    this.own.hidden = !model.known.user_catalogues;
    if (this.own.hidden || this.own.childElementCount) {
      return;
    }
    const [title, url] = [input('text'), input('url', '', 'https://')];
    const trouble = make('p', 'cubehub-cat-trouble');
    trouble.setAttribute('role', 'alert');
    const add = button(trans.__('Add'), () => undefined);
    add.type = 'submit';
    const kind = select([
      ['stac', 'STAC API'], ['static', trans.__('STAC in files')], ['geoparquet', 'stac-geoparquet'], ['odata', 'OData'], ['opensearch', 'OpenSearch']
    ]);
    const form = make('form', '', labelled(trans.__('Title'), title), labelled(trans.__('Address (https)'), url), labelled(trans.__('Kind'), kind), add, trouble);
    form.addEventListener('submit', event => {
      event.preventDefault();
      model.requests
        .addCatalogue(title.value.trim(), url.value.trim(), kind.value)
        .then(async ({ tried }) => {
          title.value = url.value = trouble.textContent = '';
          await model.load();
          if (tried.error) {
            trouble.replaceChildren(trans.__('It was added, but:'), ' ', ...told(tried.error));
          }
        })
        .catch((error: unknown) => {
          trouble.replaceChildren(...told(troubleOf(error)));
        });
    });
    this.adding = fold(trans.__('Add a catalogue of your own'), false, form).node;
    this.own.append(this.lost, this.adding);
  }

  private async remove(id: string): Promise<void> {
    try {
      await this.model.requests.removeCatalogue(id);
      this.lost.textContent = '';
    } catch (error) {
      this.lost.replaceChildren(...told(troubleOf(error)));
    }
    await this.model.load();
  }

  private async loadCollections(): Promise<void> {
    try {
      await this.askCollections();
    } catch (error) {
      this.loadedFor = null;
      this.state.replaceChildren(...told(troubleOf(error)));
    }
  }

  private async askCollections(): Promise<void> {
    if (!this.collections.open) {
      return;
    }
    const chosen = this.model.chosen;
    const asked = chosen.join(' ');
    if (asked !== this.loadedFor) {
      this.loadedFor = asked;
      this.state.textContent = this.trans.__('Asking for the collections …');
      const answers = await Promise.allSettled(chosen.map(id => this.model.collections(id)));
      if (this.loadedFor !== asked) {
        return;
      }
      const silent: string[] = [];
      this.known = answers.flatMap((answer, at) => {
        if (answer.status === 'rejected') {
          const [title, { message }] = [this.model.titleOf(chosen[at]), troubleOf(answer.reason)];
          silent.push(message.startsWith(title) ? message : `${title}: ${message}`);
          this.loadedFor = null; // a failure is asked again
          return [];
        }
        return answer.value.map(collection => ({ catalogue: chosen[at], collection }));
      });
      this.silent = silent;
    }
    this.writeCollections();
  }

  private writeCollections(): void {
    const { trans, model } = this;
    const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const set = (one: IKnown): boolean => model.form.collections[one.catalogue]?.includes(one.collection.id) ?? false;
    const matching = this.known.filter(one => {
      const text = wordsOf(one.collection);
      return words.every(word => text.includes(word));
    });
    matching.sort((a, b) => Number(set(b)) - Number(set(a)));
    const shown = matching.slice(0, MOST);
    const states = [
      matching.length > shown.length
        ? trans.__('%1 of %2 are shown; a text finds the others.', shown.length, matching.length)
        : trans._n('%1 collection', '%1 collections', matching.length),
      ...this.silent
    ];
    this.state.replaceChildren(...states.map(text => make('span', 'cubehub-cat-facts', named(text))));
    this.found.replaceChildren(
      ...shown.map(one => {
        const { id, title, description, license } = one.collection;
        const box = checkbox(title || id, set(one), checked => this.chooseCollection(one, checked));
        const about = [model.chosen.length > 1 ? model.titleOf(one.catalogue) : '', id === title ? '' : id, extentOf(one.collection), license !== undefined && !SAYS_NOTHING.has(license) ? trans.__('licence: %1', license) : ''];
        box.append(make('span', 'cubehub-cat-facts', named(about.filter(Boolean).join(' · '))));
        if (description) {
          box.title = description.slice(0, 1000);
        }
        return make('li', '', box);
      })
    );
  }

  private chooseCollection({ catalogue, collection }: IKnown, checked: boolean): void {
    const before = this.model.form.collections[catalogue] ?? [];
    const after = checked ? [...before, collection.id] : before.filter(id => id !== collection.id);
    this.model.set({ collections: { ...this.model.form.collections, [catalogue]: after } });
  }

  private readonly list = make('ul', 'cubehub-cat-choices');
  private readonly own = make('div');
  private readonly none = make('p', 'cubehub-cat-hint');
  private adding: HTMLDetailsElement | null = null;
  private toldNone = false;
  private readonly lost = make('p', 'cubehub-cat-trouble');
  private readonly text = input('search');
  private readonly state = make('p', 'cubehub-cat-hint');
  private readonly found = make('ul', 'cubehub-cat-choices');
  private readonly sayCatalogues: (text: string) => void;
  private readonly sayCollections: (text: string) => void;
  private loadedFor: string | null = null;
  private known: IKnown[] = [];
  private silent: string[] = [];
}

interface IKnown {
  catalogue: string;
  collection: ICollection;
}
