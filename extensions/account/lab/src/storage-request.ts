import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IEntry, IService, IStorage, ITrouble } from './storage.js';

/** An action that did not work, with what the person is told. */
export class StorageError extends Error {
  constructor(readonly trouble: ITrouble) {
    super(trouble.message);
  }
}

/** What the panel asks its own server. Each call throws a StorageError when it did not work. */
export class StorageRequests {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  tell(): Promise<IStorage> {
    return this.ask('storage');
  }

  keep(path: string, days: number): Promise<IService> {
    return this.ask('storage/keep', { path, days });
  }

  letGo(path: string): Promise<IService> {
    return this.ask('storage/let-go', { path });
  }

  restore(number: number, only: string | null): Promise<{ restored: string; bytes: number }> {
    return this.ask('storage/restore', { number, only });
  }

  async inside(number: number): Promise<IEntry[]> {
    const { entries } = await this.ask<{ entries: IEntry[] }>(`storage/inside?number=${number}`);
    return entries;
  }

  private async ask<T>(what: string, body?: object): Promise<T> {
    const url = URLExt.join(this.settings.baseUrl, 'cubehub/account', what);
    const init: RequestInit = body
      ? { method: 'POST', body: JSON.stringify(body), redirect: 'manual' }
      : { cache: 'no-store', redirect: 'manual' };
    let said: unknown;
    let ok = false;
    try {
      const response = await ServerConnection.makeRequest(url, init, this.settings);
      ok = response.ok;
      said = await response.json();
    } catch {
      throw new StorageError({
        code: 'no_answer',
        message: 'Your server does not answer.',
        hint: 'Look whether it still runs, then try again.'
      });
    }
    if (!ok) {
      throw new StorageError(troubleFrom(said));
    }
    return said as T;
  }
}

/** What is told of anything that was thrown. */
export function troubleOf(error: unknown): ITrouble {
  return error instanceof StorageError ? error.trouble : troubleFrom(null);
}

function troubleFrom(said: unknown): ITrouble {
  const { code, message, hint } = (said ?? {}) as Partial<Record<keyof ITrouble, unknown>>;
  if (typeof code === 'string' && typeof message === 'string' && typeof hint === 'string') {
    return { code, message, hint };
  }
  return { code: 'unknown', message: 'It did not work.', hint: 'Load the page anew and try again.' };
}
