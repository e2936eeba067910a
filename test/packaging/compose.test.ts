/** compose.yaml: hardened services without secret values, and a database in which the program creates the vault and serves. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { runProgram } from '../kit/child/built_program.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import {
  NO_POSTGRESQL,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
  PSQL,
  startPostgresql,
} from '../kit/servers/postgresql.ts';
import { ROOT, readSources } from '../kit/source_tree.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { runExternal } from './external_program.ts';

interface Service {
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly volumes: readonly string[];
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly network_mode?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
}
interface Compose {
  readonly services: { readonly keyhold: Service; readonly init: Service; readonly database: Service };
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: Readonly<Record<string, null>>;
}

const compose = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8'), { merge: true }) as Compose;
const { keyhold, init, database } = compose.services;
const RULES = ['local all all scram-sha-256', 'host all all 127.0.0.1/32 scram-sha-256'];

describe('compose.yaml', () => {
  test('Keyhold runs with a read-only root and without capabilities, for this machine only', () => {
    for (const service of [keyhold, init])
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
    expect(keyhold.ports).toEqual(['127.0.0.1:8787:8787']);
  });

  test('the database has no network, and requests passwords on its socket', () => {
    expect(database.network_mode).toBe('none');
    expect(database.command).toContain('listen_addresses=127.0.0.1');
    expect(database.environment.POSTGRES_INITDB_ARGS).toContain('--auth-local=scram-sha-256');
  });

  test('the vault is created by a separate command, with the settings of the server', () => {
    expect(init).toMatchObject({ command: ['init'], profiles: ['init'] });
    expect(init.environment).toEqual(keyhold.environment);
  });

  test('secrets are files, each used and declared, and each setting is one of the program', () => {
    const declared = Object.keys(compose.secrets);
    expect(new Set([keyhold, database].flatMap(({ secrets }) => secrets))).toEqual(new Set(declared));
    const source = [...readSources('src').values()].map(({ text }) => text).join('\n');
    for (const [name, value] of Object.entries(keyhold.environment)) {
      expect(source).toContain(name);
      const [, file] = /\/run\/secrets\/([\w.]+)/.exec(value) ?? [];
      expect(file === undefined || declared.includes(file), name).toBe(true);
    }
    const named = [keyhold, database].flatMap(({ volumes }) =>
      volumes.map((volume) => volume.split(':')[0] ?? ''),
    );
    expect(new Set(named.filter((name) => !name.startsWith('.')))).toEqual(
      new Set(Object.keys(compose.volumes)),
    );
  });

  test.skipIf(NO_POSTGRESQL)(
    'the health check fails for the first server of the image, which listens only on the socket, and succeeds for the later one',
    async ({ onTestFinished }) => {
      const [kind, check = ''] = database.healthcheck?.test ?? [];
      expect(kind).toBe('CMD-SHELL');
      const codeWith = async (setting: string) => {
        const server = await startPostgresql(RULES, undefined, [setting]);
        onTestFinished(() => server.stop());
        const { code } = await runExternal('sh', ['-c', check], {
          env: {
            PATH: `${dirname(PSQL)}:${process.env.PATH}`,
            PGHOST: dirname(server.data),
            PGPORT: `${server.port}`,
          },
        });
        return code;
      };
      expect(await codeWith('listen_addresses=')).toBe(2);
      const own = database.command?.find((argument) => argument.startsWith('listen_addresses='));
      expect(await codeWith(own ?? '')).toBe(0);
    },
  );

  test.skipIf(NO_POSTGRESQL)(
    'the SQL of the database creates an unprivileged user, with which the program creates the vault and serves',
    async ({ onTestFinished }) => {
      const server = await startPostgresql(RULES);
      onTestFinished(() => server.stop());
      const folder = temporaryFolder();
      const secret = (name: string, text: string) => {
        writeFileSync(join(folder, name), text, { mode: 0o400 });
      };
      secret('store_password', 'compose-password\n');
      secret('root.key', Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7 + 3)).toString('base64'));
      const [, script = ''] = /\.\/([\w/]+\.sql):/.exec(database.volumes.join(' ')) ?? [];
      const sql = readFileSync(join(ROOT, script), 'utf8').replaceAll('/run/secrets', folder);
      writeFileSync(join(folder, 'database.sql'), sql);
      const target = ['--host=127.0.0.1', `--port=${server.port}`, `--username=${POSTGRESQL_OWNER}`];
      const psql = (user_password: string, ...args: string[]) =>
        runExternal('psql', ['--no-psqlrc', '--set=ON_ERROR_STOP=1', ...target, ...args], {
          env: { PATH: process.env.PATH, PGPASSWORD: user_password },
        });
      const file = `--file=${join(folder, 'database.sql')}`;
      expect(await psql(POSTGRESQL_OWNER_PASSWORD, '--dbname=postgres', file)).toMatchObject({
        code: 0,
        stderr: '',
      });
      const role = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'keyhold'";
      const { stdout } = await psql(
        POSTGRESQL_OWNER_PASSWORD,
        '--dbname=postgres',
        '-At',
        `--command=${role}`,
      );
      expect(stdout).toBe('f\n');
      const home = join(folder, 'home');
      const env: Record<string, string> = { KEYHOLD_HOME: home, KEYHOLD_PORT: '0' };
      for (const [name, value] of Object.entries(keyhold.environment))
        env[name] = value
          .replace('/run/secrets', folder)
          .replace('%2Fvar%2Frun%2Fpostgresql', `127.0.0.1:${server.port}`);
      const refused = await runProgram(['serve'], { env });
      expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('keyhold init') });
      expect(await runProgram(['init'], { env })).toMatchObject({ code: 0 });
      const running = await startServeProcess({ home, env });
      expect((await fetch(`${running.url}/readyz`)).status).toBe(200);
      const headers = { authorization: `Bearer ${running.admin_key}` };
      expect((await fetch(`${running.url}/v1/servers`, { headers })).status).toBe(200);
    },
  );
});
