/** `keyhold services approve`: shows a definition that is new or was changed, prompts, and approves it for use. */
import { VaultError } from '../../../contract/errors.ts';
import type { DefinitionReview } from '../../../vault/definitions/definition_approvals.ts';
import { createForWriting } from '../../connect/presence.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { note, print, printJson } from '../../terminal/output.ts';

interface Options {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function approveService(
  context: CliContext,
  typed: string,
  { yes, json }: Options,
): Promise<void> {
  assertLocal(context.env, 'services approve', 'Run it on the machine of the server.');
  await assertCustom(context, typed);
  // Shown and approved by one open vault: it approves the definition that it has read, whatever the file contains meanwhile.
  await context.withVault(createForWriting(context), async (vault) => {
    const caller = context.caller();
    const review = await vault.definitions.review(caller, typed);
    const { service, state } = review;
    if (state === 'approved') {
      if (json === true) return printJson(context, { service_id: service.slug, state, changed: false });
      return print(context, `${service.name} (${service.slug}) is approved already.`);
    }
    if (yes !== true && !(await isConfirmed(context, review))) return note(context, 'Nothing was approved.');
    await vault.definitions.approve(caller, service.slug);
    if (json === true)
      return printJson(context, { service_id: service.slug, state: 'approved', changed: true });
    await print(context, `Approved ${service.name} (${service.slug}).`);
    await note(context, [
      'Restart a `keyhold serve` or `keyhold mcp` that runs with an earlier definition. If where its credentials go has changed, they wait for a review: `keyhold approvals list`.',
    ]);
  });
}

/** Throws for an unknown and a built-in service before the vault is opened or created. */
async function assertCustom(context: CliContext, typed: string): Promise<void> {
  const { findService, loadCatalogue } = await import('../find_service.ts');
  const catalogue = await loadCatalogue(context);
  const { slug, name } = await findService(catalogue, typed, { allow_prefix: false });
  if (catalogue.customFileOf(slug) === undefined)
    throw new VaultError('INVALID_INPUT', `${name} is a built-in service, which needs no approval.`);
}

async function isConfirmed(context: CliContext, review: DefinitionReview): Promise<boolean> {
  const [{ drawDefinition, drawDifferences }, { isTerminal, promptConfirm }] = await Promise.all([
    import('./draw_definition.ts'),
    import('../../terminal/prompt.ts'),
  ]);
  const { service, approved, file_name } = review;
  const changes =
    approved === undefined
      ? [`${file_name} has not been approved before.`]
      : ['Changes since it was approved:', ...drawDifferences(approved, service)];
  await note(context, [...drawDefinition(service), '', ...changes]);
  if (!isTerminal(context)) {
    const message =
      'Nothing was approved: not an interactive terminal. If its hosts may receive the credentials, add --yes.';
    throw new VaultError('INVALID_INPUT', message);
  }
  return promptConfirm('Approve this definition?', context);
}
