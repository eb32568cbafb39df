// SPDX-License-Identifier: Apache-2.0
// Errors as aminet-run tells them, on one line, with the exit codes of docs/result.md.

export const INPUT_MISSING = 10;
export const INPUT_DAMAGED = 11;
export const INPUT_UNSUPPORTED = 12;
export const INPUT_INCONSISTENT = 13;
export const MODEL_INVALID = 20;
export const MODEL_UNTRUSTED = 21;
export const MODEL_INCOMPATIBLE = 22;
export const INTERNAL_ERROR = 70;

/** An error that is told on purpose; its code names the class, the cases are not told apart. */
export class HostError extends Error {
  constructor(exitCode, message, hint) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
    this.file = null;
  }

  get line() {
    const where = this.file === null ? "" : `${this.file}: `;
    return `error[E${this.exitCode}00]: ${where}${this.message}; ${this.hint}`;
  }
}

/** Whatever was thrown, as a HostError: those of this code as they are, others as a fault of it. */
export function asHostError(error) {
  if (error instanceof HostError) return error;
  return new HostError(INTERNAL_ERROR, String(error?.message ?? error), "this is a bug, report it");
}

/** Run `work`, and name the file in the errors that come of it. */
export async function about(file, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof HostError) error.file ??= file;
    throw error;
  }
}
