/**
 * `keyhold services add`: shows where a definition would send credentials, prompts, writes it and records its approval in the
 * vault. Replaces a custom service with the same id, after showing the differences.
 */
import { VaultError } from '../../../contract/errors.ts';
import type { Service } from '../../../contract/service/service.ts';
import { createForWriting } from '../../connect/presence.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { note, print, printJson } from '../../terminal/output.ts';
import { publicDefinition } from './list.ts';

interface Options {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function addFile(context: CliContext, file: string, { yes, json }: Options): Promise<void> {
  assertLocal(context.env, 'services add', 'Run it on the machine of the server.');
  const [{ addService, definitionOf }, { loadCatalogue }] = await Promise.all([
    import('../../../services/add_service.ts'),
    import('../find_service.ts'),
  ]);
  const { definition, file_name } = await readDefinition(context, file);
  const candidate = await checkCandidate(context, definition, file_name);
  if (yes !== true && !(await isConfirmed(context, candidate, json === true)))
    return note(context, 'Nothing was added.');
  const { services_folder } = context.settings();
  const service = await context.withVault(createForWriting(context), async (vault) => {
    // Loaded again: the prompt may have waited for long.
    const catalogue = await loadCatalogue(context);
    const added = addService(definition, file_name, services_folder, catalogue, { replace: true });
    const written = catalogue.customFileOf(added.slug) ?? file_name;
    const pinned = { service: added, file_name: written, json: definitionOf(added) };
    await vault.definitions.approveNew(context.caller(), pinned);
    return added;
  });
  if (json === true) return printJson(context, publicDefinition(service));
  const verb = candidate.replaced === undefined ? 'Added' : 'Replaced';
  await print(context, [`${verb} ${service.name} (${service.slug}).`, `Next: keyhold store ${service.slug}`]);
  // They load new definitions, and go on with those that they have.
  if (candidate.replaced !== undefined)
    await note(context, 'Restart a running `keyhold serve` or `keyhold mcp` to use the new definition.');
}

interface Candidate {
  readonly service: Service;
  /** The present custom service with this slug. */
  readonly replaced: Service | undefined;
}

/** Throws as `addService`, before anything is created. */
async function checkCandidate(
  context: CliContext,
  definition: unknown,
  file_name: string,
): Promise<Candidate> {
  const [{ checkNewService }, { checkConnections }, { hostsOfOperator }, { loadCatalogue }, { toService }] =
    await Promise.all([
      import('../../../services/add_service.ts'),
      import('../../../services/custom/connection_rules.ts'),
      import('../../../settings/allowed_hosts.ts'),
      import('../find_service.ts'),
      import('../../../services/definition_file.ts'),
    ]);
  const catalogue = await loadCatalogue(context);
  const replaced = catalogue.customDefinition(toService(definition, file_name).slug)?.service;
  const service = checkNewService(definition, file_name, catalogue, { replace: true });
  const isHostAllowed = await hostsOfOperator(context.env, context.settings().home);
  checkConnections(service, file_name, isHostAllowed ?? (() => false));
  return { service, replaced: replaced?.slug === service.slug ? replaced : undefined };
}

async function isConfirmed(
  context: CliContext,
  { service, replaced }: Candidate,
  is_json: boolean,
): Promise<boolean> {
  const [{ drawDefinition, drawDifferences }, { isTerminal, promptConfirm }] = await Promise.all([
    import('./draw_definition.ts'),
    import('../../terminal/prompt.ts'),
  ]);
  if (!is_json) {
    const changes = replaced === undefined ? [] : drawDifferences(replaced, service);
    const heading = changes.length === 0 ? 'Equal to the present definition.' : 'Changes:';
    await note(context, [
      ...drawDefinition(service),
      ...(replaced === undefined ? [] : ['', heading, ...changes]),
    ]);
  }
  if (!isTerminal(context)) {
    throw new VaultError(
      'INVALID_INPUT',
      'Nothing was added: not an interactive terminal. If its hosts may receive the credentials, add --yes.',
    );
  }
  return promptConfirm(replaced === undefined ? 'Add this service?' : 'Replace this service?', context);
}

async function readDefinition(
  context: CliContext,
  file: string,
): Promise<{ definition: unknown; file_name: string }> {
  const { parseJson, readJsonFile } = await import('../../../services/definition_file.ts');
  if (file === '-') {
    const { SERVICE_FILE_MAX_BYTES } = await import('../../../contract/limits.ts');
    const { readStdin } = await import('../../terminal/read_value.ts');
    const too_large = `A service definition is at most ${SERVICE_FILE_MAX_BYTES / 1024} KiB.`;
    const text = await readStdin(context, SERVICE_FILE_MAX_BYTES, too_large);
    return { definition: parseJson(text, 'standard input'), file_name: 'standard input' };
  }
  const { statSync } = await import('node:fs');
  const { basename } = await import('node:path');
  let exists = false;
  try {
    exists = statSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // The path is too long or contains a file in place of a folder, so the file cannot exist.
  }
  // Messages may show the name of an existing file; any other argument may be a value.
  if (!exists)
    throw new VaultError(
      'INVALID_INPUT',
      'No such file. Give the path of a definition, or - for standard input.',
    );
  return { definition: readJsonFile(file), file_name: basename(file) };
}
