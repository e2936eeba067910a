/** What `store` and `update` say once a credential is written: what is still missing, and what to do next. */
import { type CredentialStatus, missingFields } from '../contract/credential.ts';
import type { Service } from '../contract/service.ts';
import type { CliApp } from './app.ts';
import { print, printJson } from './output.ts';
import { shellWord } from './shell_word.ts';

export interface Written {
  readonly did: string;
  /** What `--json` prints. */
  readonly output: unknown;
  readonly status: CredentialStatus;
  readonly options: { readonly name?: string; readonly stack?: string; readonly json?: boolean };
}

export async function reportWritten(
  app: CliApp,
  { slug }: Service,
  { did, output, status, options }: Written,
): Promise<void> {
  if (options.json === true) return printJson(app, output);
  const place = [
    ...(options.name === undefined ? [] : ['--name', shellWord(options.name)]),
    ...(options.stack === undefined ? [] : ['--stack', shellWord(options.stack)]),
  ];
  const missing = missingFields(status);
  const next = missing.length === 0 ? ['status', slug, ...place] : ['update', slug, ...missing, ...place];
  await print(
    app,
    [
      did,
      ...(missing.length === 0 ? [] : [`Still missing: ${missing.join(', ')}`]),
      `Next: keyhold ${next.join(' ')}`,
    ].join('\n'),
  );
}
