/** Finding a lake or a sea by its name: a text field with a list, which keyboards and screen readers know. */
import type { TranslationBundle } from '@jupyterlab/translation';

import { button, input, labelled, make } from './dom.js';
import { LAKES, placeNamed, SEAS, type IPlace } from './places.js';

export class PlaceForm {
  readonly node = make('form', 'cubehub-cat-place');

  /**
   * @param found with the place and its name, as it is written in the list
   * @param missed with a name that no place has
   */
  constructor(trans: TranslationBundle, found: (place: IPlace, name: string) => void, missed: () => void) {
    const names = make('datalist');
    names.id = 'cubehub-cat-places';
    names.append(...[...LAKES, ...SEAS].flatMap(one => one.names.map(name => new Option(name, name))));
    this.field.setAttribute('list', names.id);
    this.go = button(trans.__('Find'), () => undefined);
    this.go.type = 'submit';
    this.node.append(labelled(trans.__('Lake or sea'), this.field), this.go, names);
    this.node.addEventListener('submit', event => {
      event.preventDefault();
      const place = placeNamed(this.field.value);
      this.field.setAttribute('aria-invalid', String(!place));
      if (place) {
        found(place, place.names.find(name => name === this.field.value) ?? place.names[0]);
      } else {
        missed();
        this.field.focus();
      }
    });
  }

  /** Whether there is a map to show it on. */
  set disabled(disabled: boolean) {
    this.go.disabled = this.field.disabled = disabled;
  }

  private readonly field = input('text');
  private readonly go: HTMLButtonElement;
}
