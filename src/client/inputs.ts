/** Validates the inputs of the client's methods and converts them to JSON. */
import { UUID_PATTERN } from '../contract/patterns.ts';
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
