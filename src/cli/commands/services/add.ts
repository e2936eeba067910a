/** `keyhold services add`: shows where a definition would send credentials, prompts, and writes it. Never opens the vault. */
import { VaultError } from '../../../contract/errors.ts';
import type { Service } from '../../../contract/service/service.ts';
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
  const [{ addService, checkNewService }, { loadCatalogue }, { promptConfirm, isTerminal }] =
    await Promise.all([
      import('../../../services/add_service.ts'),
      import('../find_service.ts'),
      import('../../terminal/prompt.ts'),
    ]);
  const { definition, file_name } = await readDefinition(context, file);
  const candidate = checkNewService(definition, file_name, await loadCatalogue(context));
  if (yes !== true) {
    if (json !== true) await note(context, summaryOf(candidate));
    if (!isTerminal(context)) {
      throw new VaultError(
        'INVALID_INPUT',
        'Nothing was added: not an interactive terminal. If its hosts may receive the credentials, add --yes.',
      );
    }
    if (!(await promptConfirm('Add this service?', context))) return note(context, 'Nothing was added.');
  }
  // Loaded again: the prompt may have waited for long.
  const catalogue = await loadCatalogue(context);
  const service = addService(definition, file_name, context.settings().services_folder, catalogue);
  if (json === true) return printJson(context, publicDefinition(service));
  await print(context, [`Added ${service.name} (${service.slug}).`, `Next: keyhold store ${service.slug}`]);
  // Both read the folder only at start.
  await note(context, 'Restart a running `keyhold serve` or `keyhold mcp` to load it.');
}

/** Where the credentials of a service go, and what they are. */
function summaryOf({ name, slug, hosts, fields, oauth }: Service): string[] {
  const urls = oauth === undefined ? [] : [oauth.token_url, oauth.revocation_url ?? ''];
  const destinations = [...hosts, ...urls.filter((url) => url !== '')];
  return [
    `${name} (${slug})`,
    `  sends to  ${destinations.length === 0 ? 'no host: it is not used over HTTP' : destinations.join(', ')}`,
    `  fields    ${fields.map(({ field_id, secret }) => `${field_id}${secret ? ' (secret)' : ''}`).join(', ')}`,
  ];
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
