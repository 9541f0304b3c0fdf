import type { INotebookTracker } from '@jupyterlab/notebook';
import type { KernelMessage } from '@jupyterlab/services';

/** Asks for a geometry's own GeoJSON and nothing else; the name is checked before it gets here. */
const ASK = (name: string): string => `(lambda g, json: json.dumps(getattr(g, '__geo_interface__', g)))(${name}, __import__('json'))`;
const NAME = /^[\p{L}_][\p{L}\p{N}_]*(\.[\p{L}_][\p{L}\p{N}_]*)*$/u;
const WAIT_MS = 20_000;

/** The GeoJSON of a variable in the notebook in front.
 *
 * @throws Error with a text for the person.
 */
export async function geometryOf(tracker: INotebookTracker, name: string): Promise<string> {
  if (!NAME.test(name)) {
    throw new Error('This is no name of a variable.');
  }
  const kernel = tracker.currentWidget?.sessionContext.session?.kernel;
  if (!kernel) {
    throw new Error('No notebook with a running kernel is open.');
  }
  const future = kernel.requestExecute(
    { code: '', silent: true, store_history: false, user_expressions: { geometry: ASK(name) }, stop_on_error: false },
    true
  );
  const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error('The kernel is busy.')), WAIT_MS));
  try {
    const reply = (await Promise.race([future.done, late])) as KernelMessage.IExecuteReplyMsg;
    const content = reply.content as unknown as { status: string; user_expressions?: { geometry?: IExpression } };
    const said = content.user_expressions?.geometry;
    const text = said?.status === 'ok' ? said.data?.['text/plain'] : undefined;
    if (!text) {
      throw new Error(`${name}: ${said?.ename ?? 'no value'}. ${said?.evalue ?? ''}`.slice(0, 300));
    }
    return unquoted(text);
  } finally {
    future.dispose();
  }
}

interface IExpression {
  status: string;
  data?: Record<string, string>;
  ename?: string;
  evalue?: string;
}

/** The text of a Python string's repr: json.dumps is ASCII, so only the quote and the backslash are escaped. */
export function unquoted(repr: string): string {
  return repr.slice(1, -1).replace(/\\(['"\\])/g, '$1');
}
