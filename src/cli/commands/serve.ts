/** `keyhold serve`: converts its options to settings and starts the server. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { assertLocal } from '../connect/server_option.ts';
import type { ProgramContext } from '../context.ts';
import { examples } from '../terminal/output.ts';

interface Options {
  readonly host?: string;
  readonly port?: string;
  readonly behindProxy?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export function serveCommand(context: ProgramContext): Command {
  return new Command('serve')
    .description('Serve the vault over HTTP: the REST API and MCP at /mcp, with an API key.')
    .option('--host <name>', 'where to listen (KEYHOLD_HOST; 127.0.0.1)')
    .option('--port <number>', 'which port to listen on, 0 for any (KEYHOLD_PORT; 8787)')
    .option('--behind-proxy', 'a proxy in front terminates TLS (KEYHOLD_BEHIND_PROXY)')
    .option('--tls-cert <file>', 'the certificate chain, in PEM (KEYHOLD_TLS_CERT)')
    .option('--tls-key <file>', "the certificate's key, in PEM (KEYHOLD_TLS_KEY)")
    .addHelpText(
      'after',
      `
Credentials belong to a user: each API key sees those of its user only, and the key of a new user sees none. To share
credentials, create several keys of one user with \`keyhold keys create --user USER\`.
${examples('keyhold serve', 'keyhold serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem')}`,
    )
    .action(async (options: Options) => {
      assertLocal(context.env, 'serve', 'It would serve the local vault, not that of the server.');
      await context.serve(settingsFrom(options, process.cwd()));
    });
}

/** An option overrides its setting. Paths are relative to the current folder. */
function settingsFrom(options: Options, cwd: string): Record<string, string> {
  const path = (file: string | undefined) => (file === undefined || file === '' ? file : resolve(cwd, file));
  const settings = {
    KEYHOLD_HOST: options.host,
    KEYHOLD_PORT: options.port,
    KEYHOLD_BEHIND_PROXY: options.behindProxy === true ? 'true' : undefined,
    KEYHOLD_TLS_CERT: path(options.tlsCert),
    KEYHOLD_TLS_KEY: path(options.tlsKey),
  };
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])),
  );
}
