/** The command line options of a use policy. Loaded with the commands, so it imports nothing else. */
import type { Command } from 'commander';

export interface UsePolicyOptions {
  readonly readOnly?: boolean;
  readonly methods?: string;
  readonly pathPrefix?: readonly string[];
  readonly callsPerMinute?: string;
  readonly useUntil?: string;
  readonly approve?: string;
}

/** The options that `parseUsePolicy` reads. */
export function addUsePolicyOptions(command: Command): Command {
  return command
    .option('--read-only', 'allow only uses with the methods GET, HEAD and OPTIONS')
    .option('--methods <methods>', 'allow only uses with these methods, with commas')
    .option(
      '--path-prefix <path>',
      'allow only uses of paths under this one; may be given several times',
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .option('--calls-per-minute <number>', 'allow only so many uses a minute')
    .option('--use-until <time>', 'allow no use from this time on (ISO 8601), or a span such as 30d')
    .option('--approve <which>', 'uses that a person must approve first: never, writes or always');
}
