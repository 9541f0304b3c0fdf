import type { JupyterFrontEnd } from '@jupyterlab/application';
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';

/** Put code into a new cell below the one in front; into a new notebook where none is open. Nothing that was typed is touched. */
export async function insertCode(app: JupyterFrontEnd, tracker: INotebookTracker, code: string): Promise<void> {
  let panel: NotebookPanel | null = tracker.currentWidget;
  if (!panel || panel.isDisposed) {
    const kernelName = app.serviceManager.kernelspecs.specs?.default;
    panel = (await app.commands.execute('notebook:create-new', { kernelName, activate: true })) as NotebookPanel;
  }
  await panel.context.ready;
  await panel.revealed;
  const notebook = panel.content;
  const model = notebook.model;
  if (!model) {
    return;
  }
  const active = notebook.activeCell;
  const empty = active?.model.type === 'code' && !active.model.sharedModel.getSource().trim();
  if (empty) {
    active.model.sharedModel.setSource(code);
  } else {
    const at = model.cells.length ? notebook.activeCellIndex + 1 : 0;
    model.sharedModel.insertCell(at, { cell_type: 'code', source: code, metadata: { trusted: true } });
    notebook.activeCellIndex = at;
  }
  notebook.deselectAll();
  app.shell.activateById(panel.id);
  if (notebook.activeCell) {
    await NotebookActions.focusActiveCell?.(notebook);
    void notebook.scrollToItem(notebook.activeCellIndex);
  }
}
