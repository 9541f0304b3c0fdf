const GAP = 4;
const EDGE = 8;

/** A box beside a button that shows more about it, and closes by Escape or by turning to something else.
 *
 * Lab's own popup for the status bar always opens upwards, which in Notebook 7 is out of the page.
 */
export class Popup {
  /** The box; what it shows goes in here. */
  readonly node = document.createElement('div');

  constructor(
    private readonly button: HTMLElement,
    label: string,
    private readonly closed: () => void
  ) {
    this.node.className = 'jp-ThemedContainer cubehub-memory-details';
    this.node.setAttribute('role', 'dialog');
    this.node.setAttribute('aria-label', label);
    this.node.tabIndex = -1;
  }

  open(): void {
    document.body.append(this.node);
    this.place();
    this.button.setAttribute('aria-expanded', 'true');
    this.node.focus({ preventScroll: true });
    const { signal } = this.listening;
    window.addEventListener('resize', () => this.place(), { signal });
    document.addEventListener('pointerdown', event => this.closeUnlessAt(event.target), { signal, capture: true });
    this.node.addEventListener('focusout', event => this.closeUnlessAt(event.relatedTarget ?? this.node), { signal });
    this.node.addEventListener(
      'keydown',
      event => {
        event.stopPropagation(); // a shortcut of the page would act on the notebook behind
        if (event.key === 'Escape') {
          this.close();
          this.button.focus();
        }
      },
      { signal }
    );
  }

  close(): void {
    this.listening.abort();
    this.node.remove();
    this.button.setAttribute('aria-expanded', 'false');
    this.closed();
  }

  private closeUnlessAt(target: EventTarget | null): void {
    if (!(target instanceof Node && (this.node.contains(target) || this.button.contains(target)))) {
      this.close();
    }
  }

  /** Put the box where there is more room, above or below, and inside the page. */
  private place(): void {
    const { style } = this.node;
    const at = this.button.getBoundingClientRect();
    const upwards = at.top > window.innerHeight - at.bottom;
    const room = upwards ? at.top : window.innerHeight - at.bottom;
    style.top = upwards ? '' : `${at.bottom + GAP}px`;
    style.bottom = upwards ? `${window.innerHeight - at.top + GAP}px` : '';
    style.maxBlockSize = `${Math.max(80, room - GAP - EDGE)}px`;
    const width = this.node.getBoundingClientRect().width;
    style.left = `${Math.max(EDGE, Math.min(at.left, window.innerWidth - width - EDGE))}px`;
  }

  private readonly listening = new AbortController();
}
