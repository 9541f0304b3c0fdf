import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { INotice } from './model';

/** Find the dialog by which Lab says that the kernel of a document died, whatever the language. */
export function findBareDialog(path: string, lab: TranslationBundle): Dialog<unknown> | undefined {
  const text = lab.__('The kernel for %1 appears to have died. It will restart automatically.', path);
  return Dialog.tracker.find(dialog => dialog.node.textContent?.includes(text) ?? false);
}

/** Say why a kernel was stopped. */
export async function tellReason(notice: INotice, trans: TranslationBundle): Promise<void> {
  await showDialog({
    title: trans.__('Out of memory'),
    body: lines(notice),
    buttons: [Dialog.okButton({ label: trans.__('Ok') })]
  });
}

/** Say that nothing will work any more, in a way that can't be overlooked. */
export async function tellEnd(notice: INotice, hubUrl: string, trans: TranslationBundle): Promise<void> {
  const { button } = await showDialog({
    title: trans.__('Your access was ended'),
    body: lines(notice),
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

function lines(notice: INotice): Widget {
  const body = new Widget();
  body.addClass('cubehub-notice');
  for (const part of [notice.message, ...notice.hint.split('\n')]) {
    if (part.trim()) {
      const line = document.createElement('p');
      line.textContent = part;
      body.node.append(line);
    }
  }
  return body;
}
