/** What may stand where the cursor is: commands, options, service ids, field ids. Opens no vault, and so is quick. */
import type { Command, Option } from 'commander';
import type { CliApp } from './app.ts';
import { loadCatalogue } from './find_service.ts';
import { loadInstall } from './install_lazily.ts';

/** The words that fit what is being typed: the last of `words`. The words before it choose among what is possible. */
export async function candidates(app: CliApp, program: Command, words: readonly string[]): Promise<string[]> {
  // bash takes `--type=bearer` for three words.
  const line = words.filter((word) => word !== '=');
  const typed = line.at(-1) ?? '';
  const { command, operands, option } = await walk(app, program, line.slice(0, -1));
  const all =
    option !== undefined
      ? optionValues(app, option)
      : typed.startsWith('-')
        ? optionNames(command)
        : await operandNames(app, command, operands);
  return all.filter((word) => word.startsWith(typed));
}

interface Position {
  readonly command: Command;
  /** The words before the cursor that are neither commands nor options. */
  readonly operands: readonly string[];
  /** The option whose value is being typed. */
  readonly option: Option | undefined;
}

async function walk(app: CliApp, program: Command, words: readonly string[]): Promise<Position> {
  let command = program;
  let option: Option | undefined;
  const operands: string[] = [];
  for (const word of words) {
    if (option !== undefined) {
      option = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      option = command.options.find(({ long, short, required }) => required && [long, short].includes(word));
      continue;
    }
    const inner = operands.length > 0 ? undefined : command.commands.find((known) => known.name() === word);
    if (inner === undefined) operands.push(word);
    else command = word === 'install' && command === program ? await loadInstall(app) : inner;
  }
  return { command, operands, option };
}

function optionNames(command: Command): string[] {
  return [...command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : [])), '--help'];
}

function optionValues(app: CliApp, option: Option): readonly string[] {
  // Names only. What a variable holds never gets here.
  if (option.flags.startsWith('--from-env') && !option.flags.includes('=')) return Object.keys(app.env);
  return option.argChoices ?? [];
}

async function operandNames(
  app: CliApp,
  command: Command,
  operands: readonly string[],
): Promise<readonly string[]> {
  if (command.commands.length > 0) {
    return command.commands.map((known) => known.name()).filter((name) => !name.startsWith('_'));
  }
  const last = command.registeredArguments.at(-1);
  const argument =
    command.registeredArguments[operands.length] ?? (last?.variadic === true ? last : undefined);
  switch (argument?.name()) {
    case 'service':
      return (await loadCatalogue(app)).list().map(({ slug }) => slug);
    case 'fields':
      return ((await loadCatalogue(app)).find(operands[0] ?? '')?.fields ?? [])
        .map(({ field_id }) => field_id)
        .filter((field_id) => !operands.includes(field_id));
    case 'client':
      return (await import('./install/clients.ts')).CLIENTS.map(({ id }) => id);
    default:
      return argument?.argChoices ?? [];
  }
}
