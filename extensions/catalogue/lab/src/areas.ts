/** Areas that the server is asked for, one after the other as the person asked. No DOM here. */
import type { Aoi } from './contract.js';

export type AskedArea = { text: string } | { box: number[] };

export interface IArea {
  aoi: Aoi;
  area_km2: number | null;
}

export class Areas {
  /**
   * @param ask - The server.
   * @param take - Sets an area in place of the one before.
   */
  constructor(
    private readonly ask: (asked: AskedArea) => Promise<IArea>,
    private readonly take: (area: IArea) => void
  ) {}

  /** Ask for an area and set it.
   *
   * @param before - Gives the area to which it is added; null for none.
   * @returns null where the person meanwhile set or removed the area otherwise.
   */
  set(asked: AskedArea, before: () => Aoi | null): Promise<Aoi | null> {
    const { turn } = this;
    const found = (this.pending ?? Promise.resolve()).then(() => this.next(asked, before, turn));
    const pending = found.then(() => undefined, () => undefined).then(() => {
      if (this.pending === pending) {
        this.pending = null;
      }
    });
    this.pending = pending;
    return found;
  }

  /** Take no answer to what was asked before: the area is another by now. */
  forget(): void {
    this.turn++;
  }

  /** Wait until all that was asked for is set. */
  async settled(): Promise<void> {
    while (this.pending) {
      await this.pending;
    }
  }

  private async next(asked: AskedArea, before: () => Aoi | null, turn: number): Promise<Aoi | null> {
    if (turn !== this.turn) {
      return null;
    }
    let found = await this.ask(asked);
    const there = before();
    if (there && turn === this.turn) {
      found = await this.ask({ text: JSON.stringify({ type: 'GeometryCollection', geometries: [there, found.aoi] }) });
    }
    if (turn !== this.turn) {
      return null;
    }
    this.take(found);
    return found.aoi;
  }

  private turn = 0;
  private pending: Promise<void> | null = null;
}
