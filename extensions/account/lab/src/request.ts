import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IStatus } from './model';

/** Whether an answer means that this page may no longer ask: a redirect leads to the log-in, and has no status. */
export function isRefusal(error: unknown): boolean {
  return (
    error instanceof ServerConnection.ResponseError &&
    (error.response.type === 'opaqueredirect' || [401, 403].includes(error.response.status))
  );
}

/** Ask the server what it knows of itself.
 *
 * @throws ServerConnection.ResponseError when the server refuses, NetworkError when it does not answer.
 */
export async function fetchStatus(settings: ServerConnection.ISettings): Promise<IStatus> {
  const url = URLExt.join(settings.baseUrl, 'cubehub/account/status');
  const response = await ServerConnection.makeRequest(url, { cache: 'no-store', redirect: 'manual' }, settings);
  if (!response.ok) {
    throw new ServerConnection.ResponseError(response, 'The server refused to tell its status');
  }
  return (await response.json()) as IStatus;
}
