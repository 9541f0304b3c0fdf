import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { addressAtHub, type IStatus, type Loss } from './model';

const STATUS = 'cubehub/account/status';
/** The Hub answers so for a server that does not run; 503 is its older way. */
const NOT_RUNNING = [424, 503];
// a program wants to know, not somebody to be led on
const ASK: RequestInit = { cache: 'no-store', redirect: 'manual', headers: { Accept: 'application/json' } };

/** Ask the server what it knows of itself.
 *
 * @throws ServerConnection.ResponseError when the server refuses, NetworkError when it does not answer.
 */
export async function fetchStatus(settings: ServerConnection.ISettings): Promise<IStatus> {
  const response = await ServerConnection.makeRequest(URLExt.join(settings.baseUrl, STATUS), ASK, settings);
  if (!response.ok) {
    throw new ServerConnection.ResponseError(response, 'The server refused to tell its status');
  }
  return (await response.json()) as IStatus;
}

/** Tell the server which notices were shown. */
export async function noteSeen(settings: ServerConnection.ISettings, keys: string[]): Promise<void> {
  const url = URLExt.join(settings.baseUrl, 'cubehub/account/seen');
  await ServerConnection.makeRequest(url, { method: 'POST', body: JSON.stringify({ keys }) }, settings);
}

/** Find out why the server did not answer.
 *
 * A running server answers, or refuses by itself. Without one the proxy sends everybody on to the Hub, in a redirect
 * that does not tell where: so the Hub is asked, which knows whether this browser is still logged in.
 */
export async function lossFrom(
  error: unknown,
  settings: ServerConnection.ISettings,
  hubHome: string
): Promise<Loss> {
  if (!(error instanceof ServerConnection.ResponseError)) {
    return 'silent';
  }
  const { response } = error;
  if (response.type !== 'opaqueredirect') {
    return [401, 403].includes(response.status) ? 'refused' : 'silent';
  }
  const path = new URL(settings.baseUrl, window.location.href).pathname;
  try {
    const url = addressAtHub(URLExt.join(path, STATUS), hubHome);
    const answer = await fetch(url, { ...ASK, credentials: 'same-origin' });
    if (NOT_RUNNING.includes(answer.status)) {
      return 'stopped';
    }
    return answer.type === 'opaqueredirect' || [401, 403].includes(answer.status) ? 'refused' : 'silent';
  } catch {
    return 'silent';
  }
}
