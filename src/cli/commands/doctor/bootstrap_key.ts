/** The doctor's look for drafts of the file of the first API key: a start of the server that was killed leaves one. */
import { join } from 'node:path';
import { tempFilesOf } from '../../../io/atomic_file.ts';
import type { CliContext } from '../../context.ts';
import { checkFailed, type Finding, warn } from './finding.ts';

const CHECK = 'admin_key';

/** Nothing where there is nothing to say: a vault that is never served has no such file. */
export async function checkAdminKey(context: CliContext, home: string): Promise<Finding[]> {
  const path = join(home, 'keys', 'admin.key');
  try {
    if (tempFilesOf(path).length === 0) return [];
  } catch (error) {
    return [await checkFailed(context, CHECK, error)];
  }
  return [
    warn(
      CHECK,
      'Beside the first API key lie drafts of its file, left when a start of the server was killed.',
      `Start \`keyhold serve\`: it keeps the one that holds the key as ${path}, and removes the others.`,
    ),
  ];
}
