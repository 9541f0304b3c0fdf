import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type {
  Aoi, IAdded, ICatalogues, ICode, ICollection, IDownload, IEvent, IFound, IQuery, IQueryables,
  ISaved, ITemplate, ITrouble
} from './contract.js';
import type { IFilterRow } from './filters.js';
import { lines } from './stream.js';
import { Refusal } from './trouble.js';

const BASE = 'cubehub/catalogue';

export class Requests {
  constructor(readonly settings: ServerConnection.ISettings) {}

  catalogues(): Promise<ICatalogues> {
    return this.json('catalogues');
  }

  addCatalogue(title: string, url: string, type: string): Promise<IAdded> {
    return this.json('catalogues', 'POST', { title, url, type });
  }

  async removeCatalogue(id: string): Promise<void> {
    await this.ask(`catalogues/${part(id)}`, 'DELETE');
  }

  async collections(id: string): Promise<ICollection[]> {
    return (await this.json<{ collections: ICollection[] }>(`catalogues/${part(id)}/collections`)).collections;
  }

  /** What items may be filtered by, or sorted by. */
  schema(of: 'queryables' | 'sortables', id: string, collections: string[]): Promise<IQueryables> {
    const asked = collections.map(one => `collection=${part(one)}`).join('&');
    return this.json(`catalogues/${part(id)}/${of}${asked ? `?${asked}` : ''}`);
  }

  /** What the person should know of a form's lines, such as a property that none of the chosen catalogues has. */
  async filterWarnings(rows: readonly IFilterRow[], queryables: IQueryables): Promise<string[]> {
    return (await this.json<{ warnings?: string[] }>('filter', 'POST', { rows, queryables })).warnings ?? [];
  }

  search(catalogues: string[], query: IQuery, signal: AbortSignal): AsyncGenerator<IEvent> {
    return this.events('searches', { catalogues, query }, signal);
  }

  /** @param retry - Catalogues that failed: these are asked again, and no others. */
  more(search: string, signal: AbortSignal, retry: string[] = []): AsyncGenerator<IEvent> {
    return this.events(`searches/${part(search)}/more`, retry.length ? { retry } : {}, signal);
  }

  /** Given up by the person: nothing to wait for, nothing to tell. */
  giveUp(search: string): void {
    this.ask(`searches/${part(search)}`, 'DELETE').catch(() => undefined);
  }

  item(search: string, key: string): Promise<IFound> {
    return this.json(`searches/${part(search)}/items/${part(key)}`);
  }

  picture(search: string, key: string, size: 'thumbnail' | 'quicklook'): string {
    return this.url(`searches/${part(search)}/items/${part(key)}/picture?size=${size}`);
  }

  aoi(asked: { text: string } | { box: number[] }): Promise<{ aoi: Aoi; area_km2: number }> {
    return this.json('aoi', 'POST', asked);
  }

  code(asked: object): Promise<ICode> {
    return this.json('code', 'POST', asked);
  }

  async templates(): Promise<ITemplate[]> {
    const said = await this.json<{ templates: ITemplate[] } | ITemplate[]>('code/templates');
    return Array.isArray(said) ? said : said.templates;
  }

  async downloads(): Promise<IDownload[]> {
    return (await this.json<{ downloads: IDownload[] }>('downloads')).downloads;
  }

  async download(search: string, key: string, assets: string[], folder: string): Promise<void> {
    await this.ask('downloads', 'POST', { search, key, assets, folder });
  }

  async cancelDownload(id: string): Promise<void> {
    await this.ask(`downloads/${part(id)}`, 'DELETE');
  }

  async resumeDownload(id: string): Promise<void> {
    await this.ask(`downloads/${part(id)}/resume`, 'POST', {});
  }

  async saved(): Promise<{ saved: ISaved; version: string }> {
    const answer = await this.ask('saved');
    return { saved: (await answer.json()) as ISaved, version: answer.headers.get('ETag') ?? '*' };
  }

  /** @returns the new version. @throws Refusal with status 412 when another page saved in the meantime, or the file was broken. */
  async save(saved: ISaved, version: string): Promise<{ version: string; problem?: ITrouble }> {
    const answer = await this.ask('saved', 'PUT', saved, { headers: { 'If-Match': version } });
    const { problem } = (await answer.json()) as ISaved;
    return { version: answer.headers.get('ETag') ?? '*', problem };
  }

  private async *events(path: string, body: object, signal: AbortSignal): AsyncGenerator<IEvent> {
    const answer = await this.ask(path, 'POST', body, { signal });
    if (answer.body) {
      yield* lines<IEvent>(answer.body);
    }
  }

  private async json<Answer>(path: string, method = 'GET', body?: object): Promise<Answer> {
    return (await (await this.ask(path, method, body)).json()) as Answer;
  }

  private url(path: string): string {
    return `${URLExt.join(this.settings.baseUrl, BASE)}/${path}`;
  }

  private async ask(path: string, method = 'GET', body?: object, more: RequestInit = {}): Promise<Response> {
    const init: RequestInit = { method, cache: 'no-store', ...more };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
    }
    let answer: Response;
    try {
      answer = await ServerConnection.makeRequest(this.url(path), init, this.settings);
    } catch (error) {
      if (error instanceof ServerConnection.NetworkError) {
        const hint = 'Look whether it runs, then try again.';
        throw new Refusal({ code: 'no_answer', message: 'Your server does not answer.', hint }, 0);
      }
      throw error;
    }
    if (!answer.ok) {
      throw new Refusal(await said(answer), answer.status);
    }
    return answer;
  }
}

function part(text: string): string {
  return encodeURIComponent(text);
}

async function said(answer: Response): Promise<ITrouble> {
  try {
    const { code, message, hint, upstream_status } = (await answer.json()) as Partial<ITrouble>;
    if (message) {
      return { code: code ?? 'unexpected', message, hint: hint ?? '', upstream_status };
    }
  } catch {
    // a proxy's page, or nothing
  }
  const known = answer.status === 403 || answer.status === 401;
  return {
    code: 'refused',
    message: `Your server answered ${answer.status}.`,
    hint: known ? 'Your log-in has ended: load the page anew.' : 'Try again.'
  };
}
