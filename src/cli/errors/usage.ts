/**
 * Replaces the usage errors of commander with Keyhold's messages. Commander quotes the arguments; these messages never do,
 * because an argument may be a misplaced value.
 */
import type { Command, CommanderError, Option } from 'commander';
import { closest, distance } from 'fastest-levenshtein';
import { VaultError } from '../../contract/errors.ts';
import { VALUE_INPUT_HELP } from '../terminal/read_value.ts';
import type { CommanderExit } from './exit.ts';

/** Options that most commands have. Their error names the commands without them. */
const SERVER_OPTIONS = new Set(['--url', '--key-file']);
/** Commands where an excess argument is most likely the value. */
const TAKES_VALUE = new Set(['store', 'update', 'seal']);

/** The usage error, or `undefined` for a request for help or the version. */
export function explainStop({ command, stop }: CommanderExit): VaultError | undefined {
  const [first = ''] = command.args;
  const is_group = command.commands.length > 0;
  const is_operand = first !== '' && !first.startsWith('-');
  if (is_group && is_operand && stop.code !== 'commander.version') return unknownCommand(command, first);
  switch (stop.code) {
    case 'commander.helpDisplayed':
    case 'commander.help':
    case 'commander.version':
      return undefined;
    case 'commander.unknownCommand':
      return unknownCommand(command, first);
    case 'commander.unknownOption':
      return unknownOption(command);
    case 'commander.excessArguments':
      return excessArguments(command);
    case 'commander.missingArgument':
      return missingArgument(command);
    case 'commander.optionMissingArgument':
      return invalid(
        `${optionNamed(command, stop)?.flags ?? 'An option'} needs a value. ${seeHelp(command)}`,
      );
    case 'commander.invalidArgument':
      return invalidChoice(command, stop);
    default:
      return invalid(`The command line is invalid. ${seeHelp(command)}`);
  }
}

function unknownCommand(command: Command, typed: string): VaultError {
  const near = nearest(typed, visibleNames(command));
  return invalid(
    `Unknown command.${near === undefined ? '' : ` Did you mean \`${pathOf(command)} ${near}\`?`} ${seeHelp(command)}`,
  );
}

function unknownOption(command: Command): VaultError {
  const typed = command.args.find((word) => word.length > 1 && word.startsWith('-')) ?? '';
  if (SERVER_OPTIONS.has(typed.split('=')[0] ?? '')) return noServerError(command);
  const known = command.options.flatMap(({ long }) => (long === undefined ? [] : [long]));
  const near = nearest(typed.split('=')[0] ?? '', known);
  const value = TAKES_VALUE.has(command.name()) ? ` A value is never an argument. ${VALUE_INPUT_HELP}` : '';
  return invalid(
    `\`${pathOf(command)}\` has no such option.${near === undefined ? '' : ` Did you mean ${near}?`}${value} ${seeHelp(command)}`,
  );
}

function noServerError(command: Command): VaultError {
  return invalid(
    command.commands.length > 0
      ? `\`${pathOf(command)}\` takes --url and --key-file after the command, as in \`keyhold status --url URL\`.`
      : `\`${pathOf(command)}\` works on this machine only, not on a server. ${seeHelp(command)}`,
  );
}

function excessArguments(command: Command): VaultError {
  if (TAKES_VALUE.has(command.name())) {
    return invalid(
      `A value is never an argument: other users can see it while the command runs, and the shell remembers it. ${VALUE_INPUT_HELP} If what you typed is a secret, take it out of the shell's history.`,
    );
  }
  return invalid(`\`${pathOf(command)}\` takes fewer arguments. ${seeHelp(command)}`);
}

function missingArgument(command: Command): VaultError {
  const missing = command.registeredArguments.find(
    (argument, at) => argument.required && command.args[at] === undefined,
  );
  return invalid(`Name the ${missing?.name() ?? 'argument'}. ${seeHelp(command)}`);
}

function invalidChoice(command: Command, stop: CommanderError): VaultError {
  const option = optionNamed(command, stop);
  const argument = command.registeredArguments.find(({ argChoices }) => argChoices !== undefined);
  const choices = (option ?? argument)?.argChoices ?? [];
  return invalid(
    `${option?.long ?? argument?.name() ?? 'The argument'} takes one of: ${choices.join(', ')}.`,
  );
}

/** The option that a message is about. Commander puts its flags before any quoted argument. */
function optionNamed(command: Command, { message }: CommanderError): Option | undefined {
  return command.options.find(({ flags }) => message.startsWith(`error: option '${flags}' `));
}

function visibleNames(command: Command): string[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((known) => known.name());
}

/** The only candidate that starts with `typed`, or the closest one if at most a third of its letters differ. */
function nearest(typed: string, words: readonly string[]): string | undefined {
  if (typed === '' || words.length === 0) return undefined;
  const started = words.filter((word) => word.startsWith(typed.toLowerCase()));
  if (started.length === 1) return started[0];
  const near = closest(typed.toLowerCase(), [...words]);
  return distance(typed.toLowerCase(), near) <= Math.max(1, Math.ceil(near.length / 3)) ? near : undefined;
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function seeHelp(command: Command): string {
  return `See \`${pathOf(command)} --help\`.`;
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
