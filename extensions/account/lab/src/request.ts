import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IStatus, Loss } from './model';

const ASK: RequestInit = { cache: 'no-store', redirect: 'manual' };
const REFUSED = [401, 403];

/** Ask the server what it knows of itself.
 *
 * @throws ServerConnection.ResponseError when the server refuses, NetworkError when it does not answer.
 */
export async function fetchStatus(settings: ServerConnection.ISettings): Promise<IStatus> {
  const url = URLExt.join(settings.baseUrl, 'cubehub/account/status');
  const response = await ServerConnection.makeRequest(url, ASK, settings);
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
 * A running server answers, or refuses by itself: it also does when it was started anew, since this page's log-in was
 * with the one before. Without a server the proxy sends everybody on to the Hub, in a redirect that does not tell where.
 * In both cases the Hub is asked, which knows whether this browser is still logged in.
 */
export async function lossFrom(error: unknown, hubHome: string): Promise<Loss> {
  if (!(error instanceof ServerConnection.ResponseError)) {
    return 'silent';
  }
  const ledOn = error.response.type === 'opaqueredirect';
  if (!ledOn && !REFUSED.includes(error.response.status)) {
    return 'silent';
  }
  try {
    const answer = await fetch(hubHome, { ...ASK, credentials: 'same-origin' });
    if (answer.ok) {
      return ledOn ? 'stopped' : 'renewed';
    }
    return answer.type === 'opaqueredirect' || REFUSED.includes(answer.status) ? 'refused' : 'silent';
  } catch {
    return 'silent';
  }
}
