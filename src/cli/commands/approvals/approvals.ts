/** `keyhold approvals`: decisions that only a person makes, on the machine of the vault. */
import { Command } from 'commander';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

const ORGANIZATION = ['--org <organization>', 'the organization (default: your own)'] as const;

export function approvalsCommand(context: CliContext): Command {
  const list = new Command('list')
    .description(
      'List what waits for a decision: single requests, where credentials may be sent, and new values of protected credentials.',
    )
    .option(...ORGANIZATION)
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold approvals list', 'keyhold approvals list --org acme --json'))
    .action(async (options) => (await import('./decide.ts')).listApprovals(context, options));
  const show = new Command('show')
    .description(
      'Show one in detail: the request and who made it, or the origins of the credential. Never values.',
    )
    .argument('<approval>', 'id, as `keyhold approvals list` shows it')
    .option(...ORGANIZATION)
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold approvals show 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071'))
    .action(async (id: string, options) => (await import('./decide.ts')).showApproval(context, id, options));
  const approve = new Command('approve')
    .description(
      'Approve, after a confirmation: the caller may send the request once, the credential may be sent to the origins, or the new values are stored.',
    )
    .argument('<approval>', 'id, as `keyhold approvals list` shows it')
    .option(...ORGANIZATION)
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold approvals approve 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071'))
    .action(async (id: string, options) => (await import('./decide.ts')).approve(context, id, options));
  const deny = new Command('deny')
    .description('Deny one, which then never happens. New values are deleted.')
    .argument('<approval>', 'id, as `keyhold approvals list` shows it')
    .option(...ORGANIZATION)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold approvals deny 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071'))
    .action(async (id: string, options) => (await import('./decide.ts')).deny(context, id, options));
  return new Command('approvals')
    .description('List, approve and deny what only a person decides. Works on this machine only.')
    .addCommand(list)
    .addCommand(show)
    .addCommand(approve)
    .addCommand(deny)
    .addHelpText('after', examples('keyhold approvals list'));
}
