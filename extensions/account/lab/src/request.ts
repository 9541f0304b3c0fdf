import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IStatus } from './model';

/** Ask the server what it knows of itself.
 *
 * @throws ServerConnection.ResponseError when the server refuses, NetworkError when it does not answer.
 */
export async function fetchStatus(settings: ServerConnection.ISettings): Promise<IStatus> {
  const url = URLExt.join(settings.baseUrl, 'cubehub/account/status');
  const response = await ServerConnection.makeRequest(url, { cache: 'no-store' }, settings);
  if (!response.ok || response.redirected) {
    throw new ServerConnection.ResponseError(response, 'The server refused to tell its status');
  }
  return (await response.json()) as IStatus;
}
