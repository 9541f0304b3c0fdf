import type { TranslationBundle } from '@jupyterlab/translation';

import { fold, input, labelled, make, named, select, told } from './dom.js';
import type { IField, ISet } from './filters.js';
import type { CatalogueModel } from './model.js';
import { troubleOf } from './trouble.js';

/** What a person sees of many fields at once; a text finds the others. */
const MOST = 12;

/** What items must have: one field for each queryable, clouds first. */
export class FilterForm {
  readonly node: HTMLDetailsElement;

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle
  ) {
    this.text.addEventListener('input', () => this.writeFields());
    const raw = make('textarea', 'cubehub-cat-input');
    raw.rows = 3;
    raw.spellcheck = false;
    raw.addEventListener('change', () => this.takeRaw());
    this.raw = raw;
    this.trouble.setAttribute('role', 'alert');
    this.state.setAttribute('role', 'status');
    this.warnings.setAttribute('role', 'status');
    const folded = fold(
      trans.__('Filters'), false, this.state, this.find, this.fields, this.warnings,
      fold(trans.__('As CQL2-JSON'), false, labelled(trans.__('What the fields can’t say'), raw), this.trouble).node
    );
    this.find.append(labelled(trans.__('Find a filter'), this.text));
    this.node = folded.node;
    this.say = folded.say;
    this.node.addEventListener('toggle', () => void this.load());
  }

  write(): void {
    const { form } = this.model;
    const count = Object.values(form.set).filter(one => Object.values(one).some(value => value !== undefined && value !== '')).length + (form.raw ? 1 : 0);
    this.say(count ? this.trans._n('%1 set', '%1 set', count) : '');
    if (this.raw !== document.activeElement) {
      this.raw.value = form.raw ? JSON.stringify(form.raw) : '';
    }
    void this.load();
  }

  private async load(): Promise<void> {
    if (!this.node.open) {
      return;
    }
    const { model } = this;
    const asked = JSON.stringify([model.chosen, model.form.collections]);
    if (asked !== this.loadedFor) {
      this.loadedFor = asked;
      this.state.textContent = this.trans.__('Asking what can be filtered by …');
      const fields = await model.fields();
      if (this.loadedFor !== asked) {
        return;
      }
      this.known = fields;
      this.drawn = '';
      this.state.textContent = fields.length ? '' : this.trans.__('These catalogues do not say what can be filtered by.');
    }
    this.writeFields();
    await this.warn(asked);
  }

  /** Say which of what is set no catalogue knows: kept searches and links may set what the chosen ones do not have. */
  private async warn(chosen: string): Promise<void> {
    const asked = JSON.stringify([chosen, this.model.form.set]);
    if (asked === this.warnedOf) {
      return;
    }
    this.warnedOf = asked;
    let said: Node[];
    try {
      said = (await this.model.filterWarnings()).map(text => make('span', 'cubehub-cat-facts cubehub-mod-warning', named(text)));
    } catch (error) {
      said = [make('span', 'cubehub-cat-facts cubehub-mod-warning', ...told(troubleOf(error)))];
    }
    if (asked === this.warnedOf) {
      this.warnings.replaceChildren(...said);
    }
  }

  private writeFields(): void {
    const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const set = this.model.form.set;
    const matching = this.known.filter(field => words.every(word => `${field.name} ${field.title} ${this.usualName(field.name)}`.toLowerCase().includes(word)));
    const shown = [...matching.slice(0, MOST), ...matching.slice(MOST).filter(field => field.name in set)];
    this.find.hidden = this.known.length <= MOST;
    const key = JSON.stringify([shown.map(field => field.name), set]);
    if (key === this.drawn || this.fields.contains(document.activeElement)) {
      return; // what somebody is typing into stays as it is
    }
    this.drawn = key;
    this.fields.replaceChildren(...shown.map(field => this.field(field, set[field.name] ?? {})));
  }

  private field(field: IField, set: ISet): HTMLElement {
    const { trans } = this;
    const words = field.title === field.name ? this.usualName(field.name) : field.title;
    const title = field.unit ? `${words} (${field.unit})` : words;
    let control: HTMLElement;
    if (field.kind === 'number') {
      control = this.numbers(field, title, set);
    } else if (field.kind === 'text') {
      const one = input('text', set.is === undefined ? '' : String(set.is));
      one.addEventListener('change', () => this.set(field.name, { is: one.value.trim() || undefined }));
      control = labelled(title, one);
    } else {
      const choices = field.kind === 'boolean' ? [true, false] : field.choices;
      const one = select([['', trans.__('any')], ...choices.map((choice, at): [string, string] => [String(at), String(choice)])]);
      one.value = set.is === undefined ? '' : String(choices.indexOf(set.is));
      one.addEventListener('change', () => this.set(field.name, { is: one.value === '' ? undefined : choices[Number(one.value)] }));
      control = labelled(title, one);
    }
    control.title = field.description || field.name;
    return control;
  }

  /** What fields are called that most catalogues have and few give a title. */
  private usualName(name: string): string {
    const { trans } = this;
    const words: Record<string, string> = {
      'eo:cloud_cover': trans.__('Cloud cover'),
      'eo:snow_cover': trans.__('Snow cover'),
      platform: trans.__('Satellite'),
      constellation: trans.__('Constellation'),
      gsd: trans.__('Pixel size (m)'),
      'sat:orbit_state': trans.__('Orbit: ascending or descending'),
      'sat:relative_orbit': trans.__('Relative orbit'),
      'view:sun_elevation': trans.__('Height of the sun (°)')
    };
    return words[name.replace(/^properties\./, '')] ?? name;
  }

  private numbers(field: IField, title: string, set: ISet): HTMLElement {
    const { trans } = this;
    if (field.minimum === 0 && field.maximum === 100) {
      const slider = input('range', String(set.most ?? 100));
      [slider.min, slider.max, slider.step] = ['0', '100', '1'];
      const value = make('output', 'cubehub-cat-facts');
      const say = (): void => {
        const text = slider.value === '100' ? trans.__('any') : trans.__('up to %1', slider.value);
        value.textContent = text;
        slider.setAttribute('aria-valuetext', text);
      };
      slider.addEventListener('input', say);
      slider.addEventListener('change', () => this.set(field.name, { most: slider.value === '100' ? undefined : Number(slider.value) }));
      say();
      const one = labelled(title, slider);
      one.append(value);
      return one;
    }
    const [least, most] = (['least', 'most'] as const).map(key => {
      const one = input('number', set[key] === undefined ? '' : String(set[key]));
      one.step = 'any';
      one.setAttribute('aria-label', `${title}: ${key === 'least' ? trans.__('at least') : trans.__('at most')}`);
      one.placeholder = String((key === 'least' ? field.minimum : field.maximum) ?? '');
      one.addEventListener('change', () => {
        const value = one.value.trim() === '' || !Number.isFinite(Number(one.value)) ? undefined : Number(one.value);
        this.set(field.name, { ...this.model.form.set[field.name], [key]: value });
      });
      return one;
    });
    const group = make('div', 'cubehub-cat-field', make('span', 'cubehub-cat-label', title), make('div', 'cubehub-cat-range', least, '–', most));
    group.setAttribute('role', 'group');
    group.setAttribute('aria-label', title);
    return group;
  }

  private set(name: string, value: ISet): void {
    const set = { ...this.model.form.set };
    if (Object.values(value).every(one => one === undefined)) {
      delete set[name];
    } else {
      set[name] = value;
    }
    this.model.set({ set });
  }

  private takeRaw(): void {
    const text = this.raw.value.trim();
    let raw: object | null = null;
    let trouble = '';
    if (text) {
      try {
        const value: unknown = JSON.parse(text);
        raw = value && typeof value === 'object' && !Array.isArray(value) ? value : null;
        trouble = raw ? '' : this.trans.__('This must be an object such as {"op": "=", "args": […]}.');
      } catch (error) {
        trouble = this.trans.__('This is no JSON: %1', error instanceof Error ? error.message : '');
      }
    }
    this.trouble.textContent = trouble;
    this.raw.setAttribute('aria-invalid', String(trouble !== ''));
    if (!trouble) {
      this.model.set({ raw });
    }
  }

  private readonly state = make('p', 'cubehub-cat-hint');
  private readonly warnings = make('p', 'cubehub-cat-hint');
  private readonly text = input('search');
  private readonly find = make('div');
  private readonly fields = make('div', 'cubehub-cat-fields');
  private readonly raw: HTMLTextAreaElement;
  private readonly trouble = make('p', 'cubehub-cat-trouble');
  private readonly say: (text: string) => void;
  private loadedFor: string | null = null;
  private known: IField[] = [];
  private drawn = '';
  private warnedOf = '';
}
