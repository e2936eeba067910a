/**
 * Computes completion candidates for the word under the cursor. Opens the vault only for ids, stacks and unit names, never
 * with a prompt.
 */
import type { Command, Option } from 'commander';
import type { ApprovalList } from '../../../contract/approval.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import type { VaultConnection } from '../../connect/vault_connection.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { loadCatalogue } from '../find_service.ts';

/** Text that a shell inserts unchanged: without blanks, quotes and the characters that a shell interprets. */
const SAFE_CANDIDATE_PATTERN = /^[\p{L}\p{N}_.,:=@%+/-]+$/u;
/** A completion must not block the shell. */
const SERVER_TIMEOUT_MS = 2_000;

/** The candidates for the argument under the cursor, in the context of those before it. */
export async function candidates(
  context: CliContext,
  program: Command,
  words: readonly string[],
): Promise<string[]> {
  // bash splits `--type=bearer` into three words.
  const { line, kept } = joinColons(words.filter((word) => word !== '='));
  const typed = line.at(-1) ?? '';
  const { command, operands, option, access } = walk(program, line.slice(0, -1));
  const all =
    option !== undefined
      ? await optionValues(context, option, typed, access)
      : typed.startsWith('-')
        ? optionNames(command)
        : await operandNames(context, command, operands, access);
  return all
    .filter((word) => word.startsWith(typed) && SAFE_CANDIDATE_PATTERN.test(word))
    .map((word) => word.slice(kept));
}

/** Joins `a:b`, which bash splits into three parts. bash replaces only the last part, so `kept` characters are cut off. */
function joinColons(words: readonly string[]): { readonly line: string[]; readonly kept: number } {
  const line: string[] = [];
  let kept = 0;
  let joins = false;
  for (const word of words) {
    const before = line.at(-1);
    const is_colon = word === ':' && before !== undefined;
    if (before !== undefined && (is_colon || joins)) {
      line[line.length - 1] = before + word;
      kept = is_colon ? before.length + 1 : before.length;
    } else {
      line.push(word);
      kept = 0;
    }
    joins = is_colon;
  }
  return { line, kept };
}

interface Position {
  readonly command: Command;
  /** The words before the cursor that are neither commands nor options. */
  readonly operands: readonly string[];
  /** The option whose value is being typed. */
  readonly option: Option | undefined;
  /** The server options of the line. */
  readonly access: ConnectionOptions;
}

function walk(program: Command, words: readonly string[]): Position {
  let command = program;
  let option: Option | undefined;
  const operands: string[] = [];
  const access: Record<string, string> = {};
  for (const word of words) {
    if (option !== undefined) {
      access[option.attributeName()] = word;
      option = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      option = command.options.find(({ long, short, required }) => required && [long, short].includes(word));
      continue;
    }
    const inner = operands.length > 0 ? undefined : command.commands.find((known) => known.name() === word);
    if (inner === undefined) operands.push(word);
    else command = inner;
  }
  const { url, keyFile } = access;
  return {
    command,
    operands,
    option,
    access: { ...(url === undefined ? {} : { url }), ...(keyFile === undefined ? {} : { keyFile }) },
  };
}

function optionNames(command: Command): string[] {
  return [...command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : [])), '--help'];
}

async function optionValues(
  context: CliContext,
  option: Option,
  typed: string,
  named: ConnectionOptions,
): Promise<readonly string[]> {
  switch (option.long) {
    case '--from-env':
      // Names only, never the values of variables.
      return option.flags.includes('=') ? [] : Object.keys(context.env);
    case '--scopes':
      return listCandidates(typed, (await import('../../../contract/caller.ts')).SCOPES);
    case '--service':
    case '--services':
      return listCandidates(typed, await serviceIds(context));
    case '--stack':
      return stackIds(context, named);
    case '--action':
      return (await import('../../../contract/audit.ts')).AUDIT_ACTIONS;
    case '--unit': {
      const units = await (await connectWithoutPrompts(context, named)).withVault('existing', (vault) =>
        vault.listUnits(),
      );
      return units.map(({ name }) => name);
    }
    default:
      return option.argChoices ?? [];
  }
}

/** Candidates for the last item of a list with commas, without the items that it already has. */
function listCandidates(typed: string, words: readonly string[]): string[] {
  const before = typed.slice(0, typed.lastIndexOf(',') + 1);
  const present = before.split(',');
  return words.filter((word) => !present.includes(word)).map((word) => before + word);
}

async function serviceIds(context: CliContext): Promise<string[]> {
  return (await loadCatalogue(context)).list().map(({ slug }) => slug);
}

async function connectableServices(context: CliContext): Promise<string[]> {
  const { connectGrants } = await import('../../../services/oauth/connect.ts');
  const services = (await loadCatalogue(context)).list();
  return services.filter((service) => connectGrants(service).length > 0).map(({ slug }) => slug);
}

/** The services with a credential in the default stack that the line does not name yet. */
async function storedServices(
  context: CliContext,
  operands: readonly string[],
  named: ConnectionOptions,
): Promise<string[]> {
  const access = await connectWithoutPrompts(context, named);
  const { credentials } = await access.withVault('existing', (vault) => vault.listCredentials());
  const ids = new Set(credentials.map(({ service_id }) => service_id));
  return [...ids].filter((id) => !operands.includes(id));
}

async function stackIds(context: CliContext, named: ConnectionOptions): Promise<string[]> {
  const access = await connectWithoutPrompts(context, named);
  const stacks = await access.withVault('existing', (vault) => vault.listStacks());
  return stacks.map(({ stack_id }) => stack_id);
}

/** Connects without prompts and with a short timeout. */
function connectWithoutPrompts(context: CliContext, named: ConnectionOptions): Promise<VaultConnection> {
  const promptSecret = async () => undefined;
  const without_prompts: CliContext = {
    ...context,
    promptSecret,
    withVault: (create, act) => context.withVault(create, act, promptSecret),
    connect: (url, key) => context.connect(url, key, SERVER_TIMEOUT_MS),
  };
  return connectVault(without_prompts, named);
}

/** Names of the subcommands, without the hidden ones. */
function visibleNames(command: Command): string[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((known) => known.name());
}

async function operandNames(
  context: CliContext,
  command: Command,
  operands: readonly string[],
  named: ConnectionOptions,
): Promise<readonly string[]> {
  if (command.commands.length > 0) {
    return visibleNames(command);
  }
  const last = command.registeredArguments.at(-1);
  const argument =
    command.registeredArguments[operands.length] ?? (last?.variadic === true ? last : undefined);
  switch (argument?.name()) {
    case 'service':
      return command.name() === 'connect' ? connectableServices(context) : serviceIds(context);
    case 'services':
      return storedServices(context, operands, named);
    case 'stack':
      return stackIds(context, named);
    case 'key': {
      const access = await connectWithoutPrompts(context, named);
      return (await access.withVault('existing', (vault) => vault.listKeys())).keys.map(({ id }) => id);
    }
    case 'fields':
      return ((await loadCatalogue(context)).find(operands[0] ?? '')?.fields ?? [])
        .map(({ field_id }) => field_id)
        .filter((field_id) => !operands.includes(field_id));
    case 'approval':
      return approvalIds(context, named, 'pending');
    case 'grant':
      return approvalIds(context, named, 'in_force');
    case 'client':
      return (await import('../install/client_ids.ts')).CLIENT_IDS;
    default:
      return argument?.argChoices ?? [];
  }
}

async function approvalIds(
  context: CliContext,
  named: ConnectionOptions,
  list: ApprovalList,
): Promise<string[]> {
  const access = await connectWithoutPrompts(context, named);
  return (await access.withVault('existing', (vault) => vault.listApprovals(list))).map(({ id }) => id);
}
