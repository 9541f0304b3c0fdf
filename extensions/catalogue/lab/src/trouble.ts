import type { ITrouble } from './contract.js';

/** What the server said in place of an answer. */
export class Refusal extends Error {
  constructor(
    readonly trouble: ITrouble,
    readonly status: number
  ) {
    super(trouble.message);
  }
}

/** What a person is told of an error, whatever it was. */
export function troubleOf(error: unknown): ITrouble {
  if (error instanceof Refusal) {
    return error.trouble;
  }
  return { code: 'unexpected', message: error instanceof Error ? error.message : String(error), hint: '' };
}
