/** Validates the inputs of the client's methods and converts them to JSON. */
import { ID_MAX_CHARACTERS } from '../contract/limits.ts';
import { API_KEY_PATTERN, UUID_PATTERN } from '../contract/patterns.ts';
import { KeyholdError } from './keyhold_error.ts';

type Defined<Input> = { [Name in keyof Input]: Exclude<Input[Name], undefined> };

/** Removes properties that are `undefined`. Throws INVALID_INPUT for anything but an object. */
export function omitUndefined<Input extends object>(input: Input): Defined<Input> {
  if (typeof input !== 'object' || input === null)
    throw new KeyholdError('INVALID_INPUT', 'The input must be an object.');
  return Object.fromEntries(
    Object.entries(input).filter(([, value]) => value !== undefined),
  ) as Defined<Input>;
}

/** Throws INVALID_INPUT for an input that JSON cannot express. */
export function toJson(body: object): string {
  try {
    return JSON.stringify(body);
  } catch (cause) {
    const message = 'The input cannot be sent as JSON. Remove circular references and BigInt values.';
    throw new KeyholdError('INVALID_INPUT', message, { cause });
  }
}

export function validKeyId(id: string): string {
  return validId(id, 'id must be the id of an API key: a UUID from listKeys.');
}

/** Throws for anything but a UUID, which could be a key and must not get into a URL. */
export function validId(id: string, message: string): string {
  if (typeof id === 'string' && UUID_PATTERN.test(id)) return id;
  throw new KeyholdError('INVALID_INPUT', message);
}

/** The path of a stack. Throws for text that cannot be its id, such as an API key, which must not get into a URL. */
export function stackPath(stack_id: string): string {
  const is_valid =
    typeof stack_id === 'string' && stack_id.length > 0 && stack_id.length <= ID_MAX_CHARACTERS;
  if (!is_valid || API_KEY_PATTERN.test(stack_id) || /^\.{1,2}$/.test(stack_id))
    throw new KeyholdError('INVALID_INPUT', 'stack_id must be the id of a stack.');
  return `/v1/stacks/${encodeURIComponent(stack_id)}`;
}
