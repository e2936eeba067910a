/** `keyhold approvals`: decisions that only a person makes, on the machine of the vault or at a server. */
import { Command, Option } from 'commander';
import { GRANT_EXTENTS } from '../../../contract/use/rules.ts';
import { addServerOptions } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';
import { addUsePolicyOptions } from '../../use_policy/options.ts';

const ORGANIZATION = ['--org <organization>', 'the organization (default: your own)'] as const;

export function approvalsCommand(context: CliContext): Command {
  const list = new Command('list')
    .description(
      'List what waits for a decision: single requests, where credentials may be sent, and new values of protected credentials.',
    )
    .option('--granted', 'list the approvals of requests that are in force instead, which `revoke` ends')
    .option(...ORGANIZATION)
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold approvals list', 'keyhold approvals list --granted --json'))
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
  const deny = new Command('deny')
    .description('Deny one, which then never happens. New values are deleted.')
    .argument('<approval>', 'id, as `keyhold approvals list` shows it')
    .option(...ORGANIZATION)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold approvals deny 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071'))
    .action(async (id: string, options) => (await import('./decide.ts')).deny(context, id, options));
  const revoke = new Command('revoke')
    .description('End an approval of a request that is in force. The next such request needs a new one.')
    .argument('<grant>', 'id, as `keyhold approvals list --granted` shows it')
    .option(...ORGANIZATION)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold approvals revoke 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071'))
    .action(async (id: string, options) => (await import('./decide.ts')).revoke(context, id, options));
  return new Command('approvals')
    .description(
      'List, approve, deny and revoke what only a person decides. On a server with an API key that has approvals:decide.',
    )
    .addCommand(addServerOptions(list))
    .addCommand(addServerOptions(show))
    .addCommand(addServerOptions(approveCommand(context)))
    .addCommand(addServerOptions(deny))
    .addCommand(addServerOptions(revoke))
    .addHelpText('after', examples('keyhold approvals list'));
}

function approveCommand(context: CliContext): Command {
  const command = new Command('approve')
    .description(
      'Approve, after a confirmation: a request, a destination, new values, or the access of an agent to a service.',
    )
    .argument('<approval>', 'id, as `keyhold approvals list` shows it')
    .option(
      '--for <time>',
      "of a request: once, session (until the caller's `keyhold mcp` ends, 8 hours at most), or a time such as 30m or 2h",
      'once',
    )
    .addOption(
      new Option(
        '--each <extent>',
        'of a request: this request, its endpoint (method and path, with any query and body) or its host (every request that its policy permits)',
      )
        .choices(GRANT_EXTENTS)
        .default('request'),
    )
    .option(...ORGANIZATION)
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        'keyhold approvals approve 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071',
        'keyhold approvals approve 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --for 30m --each endpoint',
      ),
    )
    .action(async (id: string, options) => (await import('./decide.ts')).approve(context, id, options));
  return addUsePolicyOptions(command);
}
