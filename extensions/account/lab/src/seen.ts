// Which notices this browser has said: kept over reloads, so that each is said once.

const KEY = 'cubehub-account:seen';
const MOST = 200;

export class Seen {
  constructor(private readonly storage: Storage = window.localStorage) {}

  /** The keys of notices that were said. */
  get keys(): ReadonlySet<string> {
    return new Set(this.read());
  }

  /** Note that a notice was said. */
  add(key: string): void {
    const keys = [...this.read().filter(one => one !== key), key].slice(-MOST);
    try {
      this.storage.setItem(KEY, JSON.stringify(keys));
    } catch {
      // a full or forbidden storage: the notice may be said again after a reload
    }
  }

  private read(): string[] {
    try {
      const found: unknown = JSON.parse(this.storage.getItem(KEY) ?? '[]');
      return Array.isArray(found) ? found.filter(one => typeof one === 'string') : [];
    } catch {
      return [];
    }
  }
}
