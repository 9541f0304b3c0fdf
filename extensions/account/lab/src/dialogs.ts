import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { blocks, type INotice } from './model';

/** Find the dialog by which Lab says that the kernel of a document died, whatever the language; also one that waits
 * behind another dialog, whose text is then in its label only. */
export function findBareDialog(path: string, lab: TranslationBundle): Dialog<unknown> | undefined {
  const text = lab.__('The kernel for %1 appears to have died. It will restart automatically.', path);
  return Dialog.tracker.find(({ node }) => Boolean(node.ariaLabel?.includes(text) || node.textContent?.includes(text)));
}

/** Say why a kernel was stopped. */
export async function tellReason(notice: INotice, trans: TranslationBundle): Promise<void> {
  await showDialog({
    title: trans.__('Out of memory'),
    body: content(notice),
    buttons: [Dialog.okButton({ label: trans.__('Ok') })]
  });
}

/** Say all of a notice that does not fit in the corner. */
export async function tellMore(said: Pick<INotice, 'message' | 'hint'>, trans: TranslationBundle): Promise<void> {
  await showDialog({
    title: trans.__('Your server'),
    body: content(said),
    buttons: [Dialog.okButton({ label: trans.__('Ok') })]
  });
}

/** Say that nothing will work any more, in a way that can't be overlooked. */
export async function tellEnd(notice: INotice, hubUrl: string, trans: TranslationBundle): Promise<void> {
  const { button } = await showDialog({
    title: trans.__('Your access was ended'),
    body: content(notice),
    hasClose: false,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Stay on this page') }),
      Dialog.okButton({ label: trans.__('Go to the start page') })
    ]
  });
  if (button.accept) {
    window.location.assign(hubUrl);
  }
}

/** Say that the page belongs to a server that is gone, though there is another. */
export async function tellRenewed(trans: TranslationBundle): Promise<void> {
  const { button } = await showDialog({
    title: trans.__('Your server was started anew'),
    body: trans.__(
      'This page is of the server before it. Your files are kept; what is not saved can be copied from the page before you load it anew.'
    ),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Stay on this page') }),
      Dialog.okButton({ label: trans.__('Load the page anew') })
    ]
  });
  if (button.accept) {
    window.location.reload();
  }
}

function content(notice: Pick<INotice, 'message' | 'hint'>): Widget {
  const body = new Widget();
  body.addClass('cubehub-notice');
  body.node.append(...[notice.message, ...blocks(notice.hint)].map(block => (Array.isArray(block) ? list(block) : line('p', block))));
  return body;
}

function list(items: string[]): HTMLElement {
  const node = document.createElement('ul');
  node.append(...items.map(item => line('li', item)));
  return node;
}

function line(tag: 'p' | 'li', text: string): HTMLElement {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}
