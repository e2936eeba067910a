/** `keyhold run` with programs that read credentials from their environment. A program that is not installed is skipped outside of CI. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { keyholdOk, newHome, removeHome } from '../../kit/child/cli.ts';
import { ACME } from '../../kit/vault/custom_service.ts';

const GITHUB_TOKEN = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz';
const PASSWORD = 'p@ss/word:Zq81kLm02x';
const AWS_KEY_ID = 'AKIAZQ81KLM02XTVBN47';
const AWS_SECRET = 'wJalrXUtnFEMI0K7MDENG0bPxRfiCYzQ81kLm02x';

/** A service with these fields, each with its variable. */
function definition(slug: string, variables: Readonly<Record<string, string>>, environment = {}) {
  const fields = Object.entries(variables).map(([field_id, name]) => ({
    ...ACME.fields[0],
    field_id,
    secret: /password|secret/.test(field_id),
    env: [name],
  }));
  return { ...ACME, slug, name: slug, fields, value_field: {}, credential_types: ['custom'], environment };
}

const SERVICES = [
  definition('test_database', { user: 'PGUSER', password: 'PGPASSWORD', database: 'PGDATABASE' }),
  definition(
    'test_proxy',
    { proxy_host: 'TEST_PROXY_HOST', proxy_password: 'TEST_PROXY_PASSWORD' },
    { http_proxy: 'http://user:{proxy_password}@{proxy_host}' },
  ),
];

let home: string;
beforeAll(async () => {
  home = newHome();
  mkdirSync(join(home, 'services'), { recursive: true });
  for (const service of SERVICES)
    writeFileSync(join(home, 'services', `${service.slug}.json`), JSON.stringify(service));
  await keyholdOk(home, ['init']);
  for (const { slug } of SERVICES) await keyholdOk(home, ['services', 'approve', slug, '--yes']);
  await store('github', { github_token: GITHUB_TOKEN });
});
afterAll(() => removeHome(home));

const store = (service_id: string, fields: object) =>
  keyholdOk(home, ['update', service_id, '--create', '--stdin'], { stdin: JSON.stringify(fields) });

const run = (service: string, args: readonly string[]) =>
  runProgram(['run', '--service', service, '--', ...args], {
    env: { KEYHOLD_HOME: home, NO_PROXY: '', GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1' },
  });

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** A server that returns `body` and keeps the headers of all requests. */
async function httpServer(status: number, body: string) {
  const received: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    received.push(request.headers);
    const headers = status === 401 ? { 'www-authenticate': 'Basic realm="x"' } : {};
    response.writeHead(request.headers.authorization === undefined ? status : 200, headers).end(body);
  });
  return { port: await listen(server), received };
}

function withProgram(name: string) {
  const is_missing = spawnSync(name, ['--version'], { stdio: 'ignore' }).error !== undefined;
  // .ci/run installs all but the AWS CLI.
  if (is_missing && process.env.CI && name !== 'aws') throw new Error(`${name} is not installed`);
  if (is_missing) process.stderr.write(`${name} is not installed, so keyhold run was not tested with it.\n`);
  return is_missing ? test.skip : test;
}

describe('a credential reaches', () => {
  const code = 'import os, sys; sys.exit(0 if os.environ["GITHUB_TOKEN"] == sys.stdin.read() else 1)';

  withProgram('node')('node', async () => {
    const result = await run('github', ['node', '-p', 'process.env.GITHUB_TOKEN.length']);
    expect(result).toMatchObject({ code: 0, stdout: `${GITHUB_TOKEN.length}\n`, stderr: '' });
  });

  withProgram('python3')('python3', async () => {
    const result = await runProgram(['run', '--service', 'github', '--', 'python3', '-c', code], {
      env: { KEYHOLD_HOME: home },
      input: GITHUB_TOKEN,
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });

  withProgram('git')('git, through a credential helper that reads the variable', async () => {
    const { port, received } = await httpServer(401, 'not a repository');
    const helper = '!f() { echo username=x; echo "password=$GITHUB_TOKEN"; }; f';
    const url = `http://127.0.0.1:${port}/x.git`;
    await run('github', ['git', '-c', `credential.helper=${helper}`, 'ls-remote', url]);
    const basic = `Basic ${Buffer.from(`x:${GITHUB_TOKEN}`).toString('base64')}`;
    expect(received.map(({ authorization }) => authorization)).toContain(basic);
  });

  withProgram('curl')('curl, in a templated URL', async () => {
    const { port, received } = await httpServer(200, `you sent ${PASSWORD}`);
    await store('test_proxy', { proxy_host: `127.0.0.1:${port}`, proxy_password: PASSWORD });
    const result = await run('test_proxy', ['curl', '-sS', 'http://upstream.example/']);
    expect(result).toMatchObject({ code: 0, stdout: 'you sent [redacted]', stderr: '' });
    const basic = `Basic ${Buffer.from(`user:${PASSWORD}`).toString('base64')}`;
    expect(received[0]?.['proxy-authorization']).toBe(basic);
  });

  withProgram('psql')('psql', async () => {
    const received: string[] = [];
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        received.push(bytes.toString('latin1'));
        // PostgreSQL, section 55.2: refuse TLS (SSLRequest); then request the password in clear text.
        if (bytes.length === 8) socket.write('N');
        else if (bytes[0] === 0x70) socket.end();
        else socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
      });
    });
    const port = await listen(server);
    await store('test_database', { user: 'ada', password: PASSWORD, database: 'sales' });
    const { code: exit_code } = await run('test_database', [
      'psql',
      '-h',
      '127.0.0.1',
      '-p',
      String(port),
      '-c',
      '',
    ]);
    expect(exit_code).toBe(2);
    expect(received.join()).toContain('user\0ada\0database\0sales\0');
    expect(received.join()).toContain(PASSWORD);
  });

  withProgram('aws')('the AWS CLI', async () => {
    const { port, received } = await httpServer(200, '<GetCallerIdentityResponse/>');
    await store('aws', {
      aws_access_key_id: AWS_KEY_ID,
      aws_secret_access_key: AWS_SECRET,
      aws_region: 'eu-west-1',
    });
    const url = `http://127.0.0.1:${port}`;
    await run('aws', ['aws', 'sts', 'get-caller-identity', '--endpoint-url', url]);
    expect(received[0]?.authorization).toContain(`Credential=${AWS_KEY_ID}/`);
    expect(received[0]?.authorization).toContain('/eu-west-1/sts/aws4_request');
  });
});
