import type { TranslationBundle } from '@jupyterlab/translation';
import type { Polygon } from 'geojson';

import { bounds } from './bounds.js';
import type { Aoi, ITrouble } from './contract.js';
import { button, checkbox, fold, input, labelled, make } from './dom.js';
import type { SearchMap } from './map.js';
import type { CatalogueModel } from './model.js';
import { PlaceForm } from './place-form.js';
import { troubleOf } from './trouble.js';

/** More than any outline that a person draws, less than what would stop the page. */
const MOST_BYTES = 5_000_000;
const EARTH_KM2 = 510_065_622;

/** Where: drawn, as four numbers, pasted, from a file or from a notebook's variable. */
export class AreaForm {
  readonly node: HTMLElement;

  constructor(
    private readonly model: CatalogueModel,
    private readonly trans: TranslationBundle,
    private readonly variable: ((name: string) => Promise<string>) | null
  ) {
    this.trouble.setAttribute('role', 'alert');
    this.box = button(trans.__('Draw a box'), () => this.draw('box'));
    this.polygon = button(trans.__('Draw a polygon'), () => this.draw('polygon'));
    this.view = button(trans.__('What the map shows'), () => {
      if (this.map) {
        void this.take({ box: this.map.seen() });
      }
    });
    this.clear = button(trans.__('Everywhere'), () => {
      this.tell(null);
      model.set({ aoi: null });
    });
    const more = checkbox(trans.__('Add to the area that is set'), false, checked => {
      this.more = checked;
      this.steady();
    });
    this.place = new PlaceForm(
      trans,
      ({ lon, lat, zoom }, name) => {
        this.tell(null);
        this.map?.show(lon, lat, zoom);
        this.say(trans.__('The map shows %1.', name));
      },
      () =>
        this.tell({
          code: 'place', message: trans.__('No lake or sea of this name is in the list.'),
          hint: trans.__('Move the map to it, or write its place as numbers.')
        })
    );
    const numbers = make('form', 'cubehub-cat-numbers');
    const names = [trans.__('West'), trans.__('South'), trans.__('East'), trans.__('North')];
    this.numbers = names.map(() => {
      const one = input('text');
      one.inputMode = 'decimal';
      return one;
    });
    names.forEach((name, at) => numbers.append(labelled(name, this.numbers[at])));
    const use = button(trans.__('Use these numbers'), () => undefined);
    use.type = 'submit';
    numbers.append(use);
    numbers.addEventListener('submit', event => {
      event.preventDefault();
      this.takeNumbers();
    });
    const text = make('textarea', 'cubehub-cat-input');
    text.rows = 3;
    text.spellcheck = false;
    const file = input('file');
    file.accept = '.json,.geojson,.wkt,.txt,application/geo+json';
    file.addEventListener('change', () => void this.takeFile(file));
    const other = fold(
      trans.__('Numbers, text, file or variable'),
      false,
      numbers,
      labelled(trans.__('WKT or GeoJSON'), text),
      button(trans.__('Use this text'), () => void this.take({ text: text.value })),
      labelled(trans.__('From a file (GeoJSON or WKT)'), file)
    );
    if (variable) {
      const name = input('text', '', 'aoi');
      other.node.append(
        labelled(trans.__('Variable of the notebook'), name, trans.__('A shapely geometry, a GeoDataFrame or GeoJSON.')),
        button(trans.__('Use this variable'), () => void this.takeVariable(name.value))
      );
    }
    this.node = make(
      'div', 'cubehub-cat-area',
      this.place.node,
      make('div', 'cubehub-cat-buttons', this.box, this.polygon, this.view, this.clear),
      more, this.state, this.trouble, other.node
    );
    this.state.setAttribute('role', 'status');
    this.write();
  }

  /** The map, once it is there. */
  attach(map: SearchMap): void {
    this.map = map;
    this.steady();
    this.write();
  }

  drawn(drawn: Polygon): void {
    void this.take({ text: JSON.stringify(drawn) });
  }

  stopped(): void {
    this.write();
  }

  write(): void {
    for (const one of [this.box, this.polygon, this.view, this.place]) {
      one.disabled = !this.map;
    }
    const { aoi } = this.model.form;
    this.clear.disabled = !aoi;
    if (!this.map?.drawing) {
      this.say(this.size());
    }
    const [w, s, e, n] = aoi ? bounds(aoi) : ['', '', '', ''];
    [w, s, e, n].forEach((value, at) => {
      if (this.numbers[at] !== document.activeElement) {
        this.numbers[at].value = value === '' ? '' : String(Math.round(Number(value) * 1e6) / 1e6);
      }
    });
  }

  private draw(kind: 'box' | 'polygon'): void {
    this.map?.startDrawing(kind);
    this.say(
      kind === 'box'
        ? this.trans.__('Drag from corner to corner on the map, or click two corners. Escape ends it.')
        : this.trans.__('Click the corners on the map, the last one twice. Escape ends it.')
    );
  }

  /** How large it is, since numbers do not show it. */
  private size(): string {
    const { areaKm2: km2, form } = this.model;
    if (km2 === null || !form.aoi) {
      return '';
    }
    const size = km2 < 10 ? km2.toFixed(2) : Math.round(km2).toLocaleString();
    const share = Math.round((km2 / EARTH_KM2) * 100);
    const said = share ? this.trans.__('The area has %1 km², %2 % of the Earth.', size, share) : this.trans.__('The area has %1 km².', size);
    return this.crossed === form.aoi ? `${said} ${this.trans.__('West is greater than east: the box crosses 180°. Swap them for what lies between.')}` : said;
  }

  private say(text: string): void {
    if (this.state.textContent !== text) {
      this.state.textContent = text; // else it would be read out again
    }
  }

  private steady(): void {
    if (this.map) {
      this.map.steady = this.more;
    }
  }

  private takeNumbers(): void {
    const box = this.numbers.map(one => (one.value.trim() ? Number(one.value.trim().replace(',', '.')) : NaN));
    const wrong = box.findIndex(value => !Number.isFinite(value));
    this.numbers.forEach((one, at) => one.setAttribute('aria-invalid', String(at === wrong)));
    if (wrong >= 0) {
      this.tell({
        code: 'box', message: this.trans.__('All four must be numbers, in degrees.'),
        hint: this.trans.__('West may be greater than east: then the box crosses 180°.')
      });
      this.numbers[wrong].focus();
      return;
    }
    void this.take({ box });
  }

  private async takeFile(file: HTMLInputElement): Promise<void> {
    const one = file.files?.[0];
    if (!one) {
      return;
    }
    if (one.size > MOST_BYTES) {
      this.tell({ code: 'size', message: this.trans.__('This file is larger than 5 MB.'), hint: this.trans.__('Simplify the outline first.') });
    } else {
      await this.take({ text: await one.text() });
    }
    file.value = '';
  }

  private async takeVariable(name: string): Promise<void> {
    try {
      await this.take({ text: await this.variable!(name.trim()) });
    } catch (error) {
      this.tell(troubleOf(error));
    }
  }

  private async take(asked: { text: string } | { box: number[] }): Promise<void> {
    try {
      const aoi = await this.model.area(asked, this.more);
      if (!aoi) {
        return; // another one was set meanwhile
      }
      this.crossed = 'box' in asked && asked.box[0] > asked.box[2] ? aoi : null;
      this.write();
      this.tell(null);
    } catch (error) {
      this.tell(troubleOf(error));
    }
  }

  private tell(trouble: ITrouble | null): void {
    this.trouble.textContent = trouble ? `${trouble.message} ${trouble.hint}` : '';
  }

  private map: SearchMap | null = null;
  private more = false;
  /** An area whose west was written greater than its east. */
  private crossed: Aoi | null = null;
  private readonly place: PlaceForm;
  private readonly box: HTMLButtonElement;
  private readonly polygon: HTMLButtonElement;
  private readonly view: HTMLButtonElement;
  private readonly clear: HTMLButtonElement;
  private readonly numbers: HTMLInputElement[];
  private readonly state = make('p', 'cubehub-cat-hint');
  private readonly trouble = make('p', 'cubehub-cat-trouble');
}
