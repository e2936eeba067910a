/** `keyhold get` and `show`: what people of other tools try. They print no value; they say what to do instead. */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';

const NO_VALUE = 'Keyhold prints no stored value, so that no program and no model can leak one.';
const INSTEAD =
  '`keyhold status SERVICE` shows which fields are stored; `keyhold store SERVICE` replaces a value that is lost.';

const ADVICE: readonly (readonly [name: string, message: string])[] = [
  ['get', `${NO_VALUE} ${INSTEAD}`],
  ['show', `${NO_VALUE} ${INSTEAD}`],
];

/** Hidden commands, one for each name. Each ends with INVALID_INPUT and ignores its arguments. */
export function notOfferedCommands(): Command[] {
  return ADVICE.map(([name, message]) =>
    new Command(name)
      .argument('[arguments...]')
      .allowUnknownOption()
      .helpOption(false)
      .action(() => {
        throw new VaultError('INVALID_INPUT', message);
      }),
  );
}
