/**
 * Values that are produced at each use instead of stored: the output of a command, and references to a value elsewhere. This
 * file knows how they are stored; `src/use/values` produces them.
 */
import * as z from 'zod';
import { Secret } from '../../contract/secret.ts';

/** The longest time for which the output of a command is used again. */
export const COMMAND_CACHE_MAX_SECONDS = 86_400;
const COMMAND_ARGUMENTS_MAX = 100;
const COMMAND_ARGUMENT_MAX_CHARACTERS = 4_096;

const argument = z
  .string()
  .max(COMMAND_ARGUMENT_MAX_CHARACTERS)
  .refine((text) => !text.includes('\u0000'), 'must not hold NUL');

/** A program whose output is the value. Only the local command line can set one. */
export const CommandSource = z.strictObject({
  /** An absolute path. */
  program: argument.refine((path) => path.startsWith('/'), 'must be an absolute path'),
  args: z.array(argument).max(COMMAND_ARGUMENTS_MAX),
  /** 0: the command runs for each use. */
  cache_seconds: z.int().min(0).max(COMMAND_CACHE_MAX_SECONDS),
});
export type CommandSource = z.infer<typeof CommandSource>;

/** No caller can store this text: values have no control characters. */
const COMMAND_MARK = '\u0000command:';
const REFERENCE_PATTERN = /^(?:env|vault):\/\//i;

/** The command as it is stored in the field, in place of a value. */
export function commandValue(source: CommandSource): Secret {
  return new Secret(COMMAND_MARK + JSON.stringify(CommandSource.parse(source)));
}

/** The command of a stored text; `undefined` if the text is not one. */
export function commandOf(text: string): CommandSource | undefined {
  return text.startsWith(COMMAND_MARK)
    ? CommandSource.parse(JSON.parse(text.slice(COMMAND_MARK.length)))
    : undefined;
}

/** Whether a text is a reference that Keyhold can resolve, if the operator allows it. It is never a value. */
export function isReference(text: string): boolean {
  return REFERENCE_PATTERN.test(text);
}
