/** `keyhold run --dry-run`: shows which variables a command would get. Opens no value. */
import type { Variable } from '../../../use/run/variables.ts';
import type { UsableCredential } from '../../../vault/uses/use.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import { paintFor } from '../../terminal/terminal_text.ts';
import { planRun, type RunOptions } from './plan.ts';

export async function dryRun(context: CliContext, options: RunOptions): Promise<void> {
  const { variables } = await context.withVault('no', (vault) => planRun(vault, context.caller(), options));
  if (options.json === true) return printJson(context, { variables: variables.map(describe) });
  const { table } = await import('../../terminal/table.ts');
  const rows = variables.map((variable) => {
    const { name, service_id, credential_name, fields, kind } = describe(variable);
    return [name, service_id, credential_name ?? '', fields.join(', '), kind];
  });
  await print(context, await table(['VARIABLE', 'SERVICE', 'NAME', 'FIELD', 'AS'], rows, paintFor(context)));
}

function describe({ name, source, fields, is_file, template }: Variable<UsableCredential>) {
  const is_value = fields.length === 1 && template === `{${fields[0]}}`;
  return {
    name,
    service_id: source.service.slug,
    credential_name: source.name,
    fields,
    kind: is_file ? 'file' : is_value ? 'value' : 'template',
  };
}
