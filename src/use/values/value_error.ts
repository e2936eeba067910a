/** Errors and checks of values that are produced at use. Messages name the field, never what was produced. */
import { type ErrorCode, VaultError } from '../../contract/errors.ts';
import { VALUE_MAX_BYTES } from '../../contract/limits.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';

/** After a source, such as a command, gave no value. Nothing was sent. */
const SOURCE_FAILED = { next: 'Tell the user. Retry after it is fixed.', retry: false };

/** `problem`: the rest of a sentence that begins with the field. */
export function valueError(code: ErrorCode, field_id: string, problem: string, cause?: unknown): VaultError {
  const step = code === 'UPSTREAM' ? SOURCE_FAILED : {};
  return new VaultError(code, `The value of ${field_id} ${problem}`, { ...step, cause });
}

/** Throws UPSTREAM unless the text can be a value of the field: headers take no control character. */
export function assertUsableText(field: Pick<FieldDefinition, 'field_id' | 'multiline'>, text: string): void {
  const problem = findProblem(text, field.multiline === true);
  if (problem !== undefined) throw valueError('UPSTREAM', field.field_id, `cannot be used: ${problem}.`);
}

function findProblem(text: string, is_multiline: boolean): string | undefined {
  if (text === '') return 'its source returned nothing';
  if (Buffer.byteLength(text) > VALUE_MAX_BYTES) return 'its source returned more than the limit';
  if (!text.isWellFormed() || text.includes('\ufffd')) return 'its source returned no text in UTF-8';
  const controls = is_multiline ? text.replaceAll(/[\t\r\n]/g, '') : text;
  return /\p{Cc}/u.test(controls) ? 'its source returned several lines or a control character' : undefined;
}
